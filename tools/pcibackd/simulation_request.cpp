// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/simulation_request.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "pci/nearest.hpp"

namespace daemon_program {
namespace {

using json = nlohmann::json;
using config::simulation_command;
using outcome = pci::result<void>;

outcome refuse(std::string why) { return pci::fail(EINVAL, std::move(why)); }

outcome read_action(const json& from, simulation_command& into) {
  const auto names = config::action_names(false);
  const auto text = from.is_string() ? from.get<std::string>() : std::string{};
  const auto found = config::parse_action(text);
  if (!found || std::find(names.begin(), names.end(), text) == names.end()) {
    const auto near = pci::nearest(text, names);
    return refuse(near.empty() ? fmt::format("there is no such action; the actions are {}", fmt::join(names, ", "))
                               : fmt::format("there is no such action; did you mean \"{}\"?", near));
  }
  into.action = *found;
  return {};
}

outcome read_guest(const json& from, simulation_command& into) {
  if (!from.is_string()) {
    return refuse("\"guest\" must be a guest's name");
  }
  into.guest = from.get<std::string>();
  return {};
}

outcome read_function(const json& from, simulation_command& into) {
  const auto address = pci::parse_sbdf(from.is_string() ? from.get<std::string>() : std::string{});
  if (!address) {
    return refuse(address.error().context + "; it must be an address such as 0000:03:00.0");
  }
  into.function = *address;
  return {};
}

outcome read_seconds(const json& from, simulation_command& into) {
  const auto most = std::chrono::duration<double>{simulation_command::longest_time}.count();
  const auto seconds = from.is_number() ? from.get<double>() : -1;
  if (!(seconds >= 0 && seconds <= most)) {
    return refuse(fmt::format("\"seconds\" must be a number from 0 to {:g}", most));
  }
  into.time = std::chrono::milliseconds{std::llround(seconds * 1000)};
  return {};
}

outcome read_number(const json& from, std::string_view name, unsigned least, unsigned most,
                    std::optional<unsigned>& into) {
  if (!from.is_number_unsigned() || from.get<std::uint64_t>() < least || from.get<std::uint64_t>() > most) {
    return refuse(fmt::format("\"{}\" must be an integer from {} to {}", name, least, most));
  }
  into = from.get<unsigned>();
  return {};
}

outcome read_severity(const json& from, simulation_command& into) {
  const auto& names = config::severity_names();
  const auto found = std::find(names.begin(), names.end(), from.is_string() ? from.get<std::string>() : std::string{});
  if (found == names.end()) {
    return refuse(fmt::format("\"severity\" must be one of {}", fmt::join(names, ", ")));
  }
  into.severity = static_cast<pci::error_severity>(found - names.begin());
  return {};
}

outcome read_parameter(const std::string& name, const json& from, simulation_command& into) {
  if (name == "action") {
    return read_action(from, into);
  }
  if (name == "guest") {
    return read_guest(from, into);
  }
  if (name == "function") {
    return read_function(from, into);
  }
  if (name == "seconds") {
    return read_seconds(from, into);
  }
  if (name == "count") {
    return read_number(from, name, 1, simulation_command::most_interrupts, into.count);
  }
  if (name == "vector") {
    return read_number(from, name, 0, simulation_command::most_vectors - 1, into.vector);
  }
  if (name == "severity") {
    return read_severity(from, into);
  }
  return refuse("there is a parameter that sim does not have; it has action, guest, function, seconds, count, vector "
                "and severity");
}

pci::result<simulation_command> read_parameters(const json& request) {
  const auto given = request.find("params");
  if (given == request.end() || !given->is_object() || !given->contains("action")) {
    return pci::fail(EINVAL, "the parameter \"action\" is missing");
  }
  simulation_command what;
  for (const auto& [name, value] : given->items()) {
    if (auto done = read_parameter(name, value, what); !done) {
      return tl::unexpected(done.error());
    }
  }
  return config::check(what).map([&] { return what; });
}

} // namespace

std::optional<simulation_request> parse_simulation_request(std::string_view line) {
  if (line.size() > actors::control::longest_request) {
    return std::nullopt;
  }
  const auto document = json::parse(line, nullptr, false);
  if (!document.is_object() || document.value("jsonrpc", json{}) != "2.0" ||
      document.value("method", json{}) != "sim") {
    return std::nullopt;
  }
  const auto id = document.find("id");
  if (id != document.end() && !id->is_string() && !id->is_number_integer() && !id->is_null()) {
    return std::nullopt;
  }
  return simulation_request{id == document.end() ? actors::control::request_id{} : id->dump(),
                            read_parameters(document)};
}

std::string answer_to(const actors::control::request_id& id, const pci::result<std::string>& how) {
  if (!id) {
    return {};
  }
  // The words say it all: the errno is for programs.
  const json content = how ? json{{"message", *how}}
                           : json{{"code", static_cast<int>(actors::control::error_code::application)},
                                  {"message", how.error().context},
                                  {"data", {{"errno", how.error().error}, {"what", how.error().context}}}};
  return fmt::format(R"({{"jsonrpc":"2.0","id":{},"{}":{}}})", *id, how ? "result" : "error",
                     content.dump(-1, ' ', false, json::error_handler_t::replace));
}

} // namespace daemon_program
