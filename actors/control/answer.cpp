// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/control/answer.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "actors/control/explanation_json.hpp"
#include "actors/control/look_json.hpp"
#include "actors/control/overview_json.hpp"
#include "actors/control/register_json.hpp"
#include "actors/control/trace_json.hpp"
#include "pci/failure_kind.hpp"

namespace actors::control {
namespace {

using json = nlohmann::ordered_json;

// Words may quote what a guest or a device said: bytes that are not UTF-8 are replaced, for they would throw.
std::string line_of(const json& what) { return what.dump(-1, ' ', false, json::error_handler_t::replace); }

// The id is JSON text already.
std::string envelope(const request_id& id, std::string_view kind, const json& content) {
  return id ? fmt::format(R"({{"jsonrpc":"2.0","id":{},"{}":{}}})", *id, kind, line_of(content)) : std::string{};
}

} // namespace

std::string done(const request_id& id) { return envelope(id, "result", json::object()); }

std::string attached(const request_id& id, const pci::sbdf& virtual_address) {
  return envelope(id, "result", {{"virtual_address", pci::to_string(virtual_address)}});
}

std::string listed(const request_id& id, const messages::overview& all) { return envelope(id, "result", json_of(all)); }

std::string accounted(const request_id& id, const messages::register_account& of) {
  return envelope(id, "result", json_of(of));
}

std::string explained(const request_id& id, const messages::explanation& all) {
  return envelope(id, "result", json_of(all));
}

std::string looked_at(const request_id& id, const std::vector<actor_account>& actors,
                      const std::vector<thread_account>& threads) {
  return envelope(id, "result", json_of(actors, threads));
}

std::string measured(const request_id& id, std::string_view text) {
  return envelope(id, "result", {{"text", std::string{text}}});
}

std::string told(const event& what) {
  return line_of({{"jsonrpc", "2.0"}, {"method", "event"}, {"params", json_of(what)}});
}

std::string told_of_loss(std::uint64_t count) {
  return line_of({{"jsonrpc", "2.0"}, {"method", "event"}, {"params", {{"event", "lost"}, {"count", count}}}});
}

std::string configured(const request_id& id, const messages::config_account& of) {
  return envelope(id, "result", json_of(of));
}

std::string traced(const request_id& id, const trace_batch& what) { return envelope(id, "result", json_of(what)); }

std::string reloaded(const request_id& id, const std::vector<std::string>& taken,
                     const std::vector<std::string>& restart) {
  return envelope(id, "result", {{"taken", taken}, {"restart", restart}});
}

std::string recalled(const request_id& id, const std::deque<event>& events, const std::vector<std::string>& log) {
  auto all = json::array();
  for (const auto& each : events) {
    all.push_back(json_of(each));
  }
  return envelope(id, "result", {{"events", std::move(all)}, {"log", log}});
}

std::string version_of(const request_id& id, const std::string& settings) {
  return envelope(id, "result",
                  {{"version", PCIBACKD_VERSION}, {"settings", settings.empty() ? json() : json(settings)}});
}

std::string failed(const request_id& id, const pci::failure& why) {
  return envelope(id, "error",
                  {{"code", static_cast<int>(error_code::application)},
                   {"message", pci::to_string(why)},
                   {"data",
                    {{"errno", why.error},
                     {"what", why.context},
                     {"name", pci::errno_name(why.error)},
                     {"kind", std::string{pci::to_string(pci::kind_of(why.error))}}}}});
}

std::string refused(const refusal& why) {
  return envelope(why.id, "error",
                  {{"code", static_cast<int>(why.code)},
                   {"message", why.message},
                   {"data", {{"kind", std::string{pci::to_string(pci::failure_kind::usage)}}}}});
}

std::string to_json(const messages::overview& all) { return line_of(json_of(all)); }

} // namespace actors::control
