// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/sim.hpp"

#include <cerrno>

#include <nlohmann/json.hpp>

#include "pci/address.hpp"

namespace client_program {

std::string sim_request(const sim_words& words) {
  using json = nlohmann::ordered_json;
  json params{{"action", words.action}};
  // A guest of the simulation has no colon in its name.
  if (const auto address = pci::parse_sbdf(words.target)) {
    params["function"] = pci::to_string(*address);
  } else {
    params[words.target.find(':') == std::string::npos ? "guest" : "function"] = words.target;
  }
  if (words.seconds) {
    params["seconds"] = *words.seconds;
  }
  if (words.count) {
    params["count"] = *words.count;
  }
  if (words.vector) {
    params["vector"] = *words.vector;
  }
  if (!words.severity.empty()) {
    params["severity"] = words.severity;
  }
  const json request{{"jsonrpc", "2.0"}, {"id", 1}, {"method", "sim"}, {"params", std::move(params)}};
  return request.dump(-1, ' ', false, json::error_handler_t::replace);
}

pci::result<std::string> sim_message(const std::string& result) {
  const auto answer = nlohmann::json::parse(result, nullptr, false);
  if (answer.is_object() && answer.contains("message") && answer["message"].is_string()) {
    return answer["message"].get<std::string>();
  }
  return pci::fail(EPROTO, "the daemon's answer to sim has no message; are daemon and pcibackctl of one version?");
}

} // namespace client_program
