// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/xenbus.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "pci/protocol/xenstore_paths.hpp"

namespace pci {
namespace {

using enum xenbus_state;

bool is_past_handshake(xenbus_state state) {
  return state == connected || state == reconfiguring || state == reconfigured;
}

bool has_new_device(const xenbus_nodes& nodes) {
  return std::ranges::any_of(nodes.devices, [](const device_nodes& one) { return one.state == initialising; });
}

/// Own state 7: the toolstack wants a device added or removed and waits, at most 10 s, for 4. It is the frontend's move
/// (spec 7.4): taking a function from under a driver that still runs is the last resort.
xenbus_step step_of_hot_plug(const xenbus_nodes& nodes, const xenbus_facts& facts) {
  if (nodes.frontend == reconfiguring && nodes.takes_hot_plug)
    return xenbus_step::reconfigure;
  // An HVM guest's frontend stays in 1 for good. One in 3 is about to look at our state, and answers 7 if it can.
  const bool never_came = !facts.connected && (nodes.frontend == initialising || nodes.frontend == init_wait);
  const bool cannot = never_came || !nodes.takes_hot_plug || facts.domain_paused;
  return cannot || facts.frontend_waited_out ? xenbus_step::take_back : xenbus_step::none;
}

/// Own state 8: the frontend looks for what is new and comes back to 4.
xenbus_step step_of_hot_plugged(const xenbus_nodes& nodes, const xenbus_facts& facts) {
  const bool silent = facts.frontend_waited_out || facts.domain_paused || !nodes.takes_hot_plug;
  return nodes.frontend == connected || silent ? xenbus_step::complete : xenbus_step::none;
}

/// With a connection, own state 3 is a toolstack's doing: the frontend may know nothing of it.
xenbus_step step_of_initialised(const xenbus_nodes& nodes, const xenbus_facts& facts) {
  // First: once the frontend sees 4 it scans, and a device that is not there by then is not found.
  if (has_new_device(nodes))
    return xenbus_step::export_new;
  if (nodes.frontend == initialised)
    return facts.connected ? xenbus_step::start_over : xenbus_step::connect;
  return nodes.frontend == connected && facts.connected ? xenbus_step::complete : xenbus_step::none;
}

xenbus_step step_of_connected(const xenbus_nodes& nodes, const xenbus_facts& facts) {
  if (!facts.connected)
    return nodes.frontend == initialised ? xenbus_step::connect : xenbus_step::none;
  // Linux waits in 7 for an 8. It has let go of what left; what came meanwhile it finds when it looks again.
  const bool late = nodes.frontend == reconfiguring && facts.overtaken && nodes.takes_hot_plug;
  return late ? xenbus_step::catch_up : xenbus_step::none;
}

/// Own state 5 or 6, and the frontend is neither.
xenbus_step step_of_ended(const xenbus_nodes& nodes, const xenbus_facts& facts) {
  // mini-os and kexec go from 6 to 1 and wait for 2; a driver that is loaded again goes from 6 to 3 and does not wait.
  // With own state 5 a frontend in 3 has yet to hear of it.
  const bool came_back = nodes.frontend == initialising || (nodes.frontend == initialised && nodes.backend == closed);
  return came_back && !facts.given_up ? xenbus_step::restart : xenbus_step::none;
}

/// The frontend is in 6. Linux's is so when its module is unloaded, and the next one closes at once when it finds 5 or
/// 6 here; mini-os's and kexec's want to see 6 before they go on to 1, and have seen 5 by then. So a frontend that
/// closes in order finds 6 for a while, and then, like one that closes without a word, what a new one needs.
xenbus_step step_of_closed(const xenbus_nodes& nodes, const xenbus_facts& facts) {
  const bool may_come_back = nodes.online && !facts.given_up && nodes.takes_hot_plug;
  switch (nodes.backend) {
  case init_wait:
    return may_come_back ? xenbus_step::export_all : xenbus_step::closed;
  case initialised:
    if (!may_come_back)
      return xenbus_step::closed;
    if (facts.connected)
      return xenbus_step::restart;
    if (has_new_device(nodes))
      return xenbus_step::export_new;
    return facts.uncalled ? xenbus_step::call_again : xenbus_step::none;
  case connected:
  case reconfiguring:
  case reconfigured:
    return may_come_back ? xenbus_step::restart : xenbus_step::closed;
  case closed:
    return may_come_back && facts.frontend_waited_out ? xenbus_step::restart : xenbus_step::none;
  default:
    return xenbus_step::closed;
  }
}

/// The guest does not run any more, so its frontend's state says nothing: all that counts is the toolstack, which takes
/// the functions one after the other and wants to see 4 before and after each.
xenbus_step step_of_shut_down(const xenbus_nodes& nodes) {
  switch (nodes.backend) {
  case initialising:
    return xenbus_step::prepare;
  case init_wait:
    return xenbus_step::export_all;
  case initialised:
    return has_new_device(nodes) ? xenbus_step::export_new : xenbus_step::stand_in;
  case closing:
  case closed:
    return xenbus_step::stand_in;
  case reconfiguring:
    return xenbus_step::take_back;
  case reconfigured:
    return xenbus_step::complete;
  default:
    return xenbus_step::none;
  }
}

/// The domain is dying or gone: nobody but the toolstack can be waiting, and it gets its 4 before all goes.
xenbus_step step_of_ending(const xenbus_nodes& nodes) {
  switch (nodes.backend) {
  case reconfiguring:
    return xenbus_step::take_back;
  case reconfigured:
    return xenbus_step::complete;
  default:
    return xenbus_step::tear_down;
  }
}

/// What the backend's own state calls for, while the frontend is there and not closing.
xenbus_step step_of_running(const xenbus_nodes& nodes, const xenbus_facts& facts) {
  if (is_past_handshake(nodes.backend) && facts.connected && facts.started_over)
    return xenbus_step::start_over;
  switch (nodes.backend) {
  case init_wait:
    return xenbus_step::export_all;
  case initialised:
    return step_of_initialised(nodes, facts);
  case connected:
    return step_of_connected(nodes, facts);
  case reconfiguring:
    return step_of_hot_plug(nodes, facts);
  case reconfigured:
    return step_of_hot_plugged(nodes, facts);
  case closing:
  case closed:
    return step_of_ended(nodes, facts);
  default:
    return xenbus_step::none;
  }
}

} // namespace

std::string_view to_string(xenbus_state state) {
  static constexpr std::array<std::string_view, 9> names{"Unknown",     "Initialising",  "InitWait",
                                                         "Initialised", "Connected",     "Closing",
                                                         "Closed",      "Reconfiguring", "Reconfigured"};
  const auto index = static_cast<std::size_t>(state);
  return index < names.size() ? names[index] : names[0];
}

std::optional<std::uint32_t> parse_number(std::string_view text, std::uint32_t limit) {
  if (text.empty())
    return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9')
      return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
    if (value > limit)
      return std::nullopt;
  }
  return static_cast<std::uint32_t>(value);
}

xenbus_state parse_state(std::string_view text) {
  return static_cast<xenbus_state>(parse_number(text, static_cast<std::uint32_t>(reconfigured)).value_or(0));
}

std::string_view to_string(xenbus_step step) {
  static constexpr std::array<std::string_view, 17> names{
      "none",     "prepare",   "export_all", "export_new", "connect",  "reconfigure",
      "complete", "take_back", "start_over", "catch_up",   "close",    "closed",
      "restart",  "stand_in",  "call_again", "adopt",      "tear_down"};
  const auto index = static_cast<std::size_t>(step);
  return index < names.size() ? names[index] : names[0];
}

xenbus_step next_step(const xenbus_nodes& nodes, const xenbus_facts& facts) {
  if (!nodes.exists || nodes.frontend == unknown)
    return xenbus_step::tear_down;
  if (facts.domain_ending)
    return step_of_ending(nodes);
  if (facts.unadopted)
    return xenbus_step::adopt;
  if (facts.domain_shut_down)
    return step_of_shut_down(nodes);
  if (nodes.backend == initialising)
    return xenbus_step::prepare;
  if (nodes.frontend == closing)
    return nodes.backend == closing ? xenbus_step::none : xenbus_step::close;
  if (nodes.frontend == closed)
    return step_of_closed(nodes, facts);
  return step_of_running(nodes, facts);
}

bool was_served(const xenbus_nodes& nodes) {
  const auto shown = [](const device_nodes& one) { return one.state == initialised || one.state == closing; };
  return is_past_handshake(nodes.backend) || std::ranges::any_of(nodes.devices, shown);
}

bool was_connected(const xenbus_nodes& nodes) {
  return is_past_handshake(nodes.backend) && is_past_handshake(nodes.frontend);
}

std::vector<node_write> root_writes(const std::vector<topology::root>& published,
                                    const std::vector<topology::root>& wanted, bool looked) {
  std::vector<node_write> writes;
  if (!looked && published == wanted)
    return writes;
  auto all = looked ? published : std::vector<topology::root>{};
  for (const auto& one : wanted) {
    if (std::ranges::find(all, one) != all.end())
      continue;
    writes.push_back({node::numbered(node::root, static_cast<unsigned>(all.size())),
                      fmt::format("{:04x}:{:02x}", one.segment, one.bus)});
    all.push_back(one);
  }
  // A frontend reads root_num first and then as many roots.
  if (!writes.empty())
    writes.push_back({node::root_num, fmt::format("{}", all.size())});
  return writes;
}

} // namespace pci
