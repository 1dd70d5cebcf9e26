// SPDX-License-Identifier: GPL-2.0-or-later
#include "config/simulation_command.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fmt/format.h>

namespace config {
namespace {

enum class target : std::uint8_t { guest, function, either, both, none };

struct action_facts {
  std::string_view name;
  target whom;
  bool scenario_only = false;
  bool time = false;
  bool count = false;
  bool vector = false;
  bool severity = false;
};

/// In the order of the enumeration.
constexpr std::array<action_facts, 18> actions{{
    {"start", target::guest},
    {"kill", target::guest},
    {"reboot", target::guest},
    {"crash", target::guest},
    {.name = "flood", .whom = target::guest, .time = true},
    {.name = "raise", .whom = target::function, .count = true, .vector = true},
    {.name = "storm", .whom = target::function, .time = true, .vector = true},
    {.name = "error", .whom = target::function, .severity = true},
    {"unplug", target::function},
    {"plug", target::function},
    {.name = "stall", .whom = target::either, .time = true},
    {"hold", target::function, true},
    {"release", target::function, true},
    {"attach", target::both, true},
    {"detach", target::both, true},
    {"drain", target::either, true},
    {"retry", target::function, true},
    {"end", target::none, true},
}};

const action_facts& facts_of(simulation_action action) { return actions.at(static_cast<std::size_t>(action)); }

/// What is missing or too much about whom it is done to; empty: nothing.
std::string mistake_of_target(const simulation_command& what) {
  const auto& facts = facts_of(what.action);
  const bool guest = !what.guest.empty(), function = what.function.has_value();
  switch (facts.whom) {
  case target::guest:
    return guest && !function ? "" : "needs a guest, and nothing else; name one of the simulation's";
  case target::function:
    return function && !guest ? "" : "needs a function, and nothing else; give its address, such as 0000:03:00.0";
  case target::either:
    return guest != function ? "" : "needs a guest or a function, and not both";
  case target::both:
    return guest && function ? "" : "needs a guest and a function";
  case target::none:
    return !guest && !function ? "" : "needs neither guest nor function";
  }
  return "";
}

} // namespace

std::string_view to_string(simulation_action action) { return facts_of(action).name; }

std::vector<std::string_view> action_names(bool with_scenario) {
  std::vector<std::string_view> names;
  for (const auto& each : actions) {
    if (with_scenario || !each.scenario_only) {
      names.push_back(each.name);
    }
  }
  return names;
}

std::optional<simulation_action> parse_action(std::string_view name) {
  const auto found = std::find_if(actions.begin(), actions.end(), [&](const auto& one) { return one.name == name; });
  if (found == actions.end()) {
    return std::nullopt;
  }
  return static_cast<simulation_action>(found - actions.begin());
}

pci::result<void> check(const simulation_command& what) {
  const auto& facts = facts_of(what.action);
  if (const auto mistake = mistake_of_target(what); !mistake.empty()) {
    return pci::fail(EINVAL, fmt::format("{} {}", facts.name, mistake));
  }
  for (const auto& [given, taken, name] : {std::tuple{what.time.has_value(), facts.time, "seconds"},
                                           {what.count.has_value(), facts.count, "count"},
                                           {what.vector.has_value(), facts.vector, "vector"},
                                           {what.severity.has_value(), facts.severity, "severity"}}) {
    if (given && !taken) {
      return pci::fail(EINVAL, fmt::format("{} has no use for \"{}\"; leave it out", facts.name, name));
    }
  }
  return {};
}

std::string to_string(const simulation_command& what) {
  std::string text{facts_of(what.action).name};
  if (!what.guest.empty()) {
    text += " " + what.guest;
  }
  if (what.function) {
    text += " " + pci::to_string(*what.function);
  }
  return text;
}

const std::vector<std::string_view>& severity_names() {
  static const std::vector<std::string_view> names{"corrected", "nonfatal", "fatal"};
  return names;
}

} // namespace config
