// SPDX-License-Identifier: GPL-2.0-or-later
#include "config/scenario.hpp"

#include <cmath>

#include "config/reader.hpp"

namespace config {
namespace {

constexpr double longest_scenario_s = 86400;

read_result<std::chrono::milliseconds> as_seconds(const value& from, double most) {
  const auto wanted = fmt::format("a number of seconds from 0 to {:g}", most);
  double seconds = -1;
  if (const auto* whole = std::get_if<std::int64_t>(&from.content)) {
    seconds = static_cast<double>(*whole);
  } else if (const auto* number = std::get_if<double>(&from.content)) {
    seconds = *number;
  } else {
    return wrong_kind(from, wanted);
  }
  if (!(seconds >= 0 && seconds <= most)) {
    return wrong(from.at, fmt::format("must be {}, not {:g}", wanted, seconds));
  }
  return std::chrono::milliseconds{std::llround(seconds * 1000)};
}

read_result<std::chrono::milliseconds> as_moment(const value& from) { return as_seconds(from, longest_scenario_s); }

read_result<std::chrono::milliseconds> as_time(const value& from) {
  return as_seconds(from, std::chrono::duration<double>{simulation_command::longest_time}.count());
}

read_result<simulation_action> as_action(const value& from) {
  const auto names = action_names();
  return as_word(from, names).map([](std::size_t index) { return static_cast<simulation_action>(index); });
}

read_result<unsigned> as_count(const value& from) {
  return as_integer(from, 1, simulation_command::most_interrupts).map([](auto is) {
    return static_cast<unsigned>(is);
  });
}

read_result<unsigned> as_vector(const value& from) {
  return as_integer(from, 0, simulation_command::most_vectors - 1).map([](auto is) {
    return static_cast<unsigned>(is);
  });
}

read_result<pci::error_severity> as_severity(const value& from) {
  return as_word(from, severity_names()).map([](std::size_t index) { return static_cast<pci::error_severity>(index); });
}

const std::vector<key<event>>& event_keys() {
  static const std::vector<key<event>> keys{
      {"at", store<event>(as_moment, [](auto& into, auto is) { into.at_time = is; }), true},
      {"do", store<event>(as_action, [](auto& into, auto is) { into.what.action = is; }), true},
      {"guest", store<event>(as_text, [](auto& into, auto is) { into.what.guest = std::move(is); })},
      {"function", store<event>(as_address, [](auto& into, auto is) { into.what.function = is; })},
      {"seconds", store<event>(as_time, [](auto& into, auto is) { into.what.time = is; })},
      {"count", store<event>(as_count, [](auto& into, auto is) { into.what.count = is; })},
      {"vector", store<event>(as_vector, [](auto& into, auto is) { into.what.vector = is; })},
      {"severity", store<event>(as_severity, [](auto& into, auto is) { into.what.severity = is; })},
  };
  return keys;
}

} // namespace

read_result<void> read_events(const value& from, std::vector<event>& events) {
  return read_sections<event>(from, event_keys(), events, [](const event& one, const value& at) -> read_result<void> {
    if (const auto checked = check(one.what); !checked) {
      return wrong(at.at, checked.error().context);
    }
    return {};
  });
}

read_result<std::vector<event>> parse_scenario(std::string_view text) {
  using events = std::vector<event>;
  static const std::vector<key<events>> sections{{"event", read_events, true, true}};
  return parse_document(text).and_then([](const value& document) -> read_result<events> {
    events all;
    return read_section(document, sections, all).map([&] { return std::move(all); });
  });
}

} // namespace config
