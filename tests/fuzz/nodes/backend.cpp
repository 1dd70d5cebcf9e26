// SPDX-License-Identifier: GPL-2.0-or-later
#include "fuzz/nodes/backend.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "actors/xenstore/backend_nodes.hpp"
#include "fuzz/support/input.hpp"
#include "pci/protocol/shared_page.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace nodes {

using fuzz::require;
using pci::xenbus_state;
using pci::xenbus_step;

namespace {

std::string text_of(xenbus_state state) { return fmt::format("{}", static_cast<unsigned>(state)); }

pci::node_write state_of(const pci::device_nodes& one, xenbus_state state) {
  return {pci::node::numbered(pci::node::state, one.index), text_of(state)};
}

bool printable(const std::string& text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

} // namespace

void backend::check(const pci::xenbus_nodes& seen) const {
  require(seen.devices.size() <= actors::max_devices && seen.roots.size() <= actors::max_devices,
          "a directory is read as far as a guest can have devices");
  require(seen.magic.size() <= 8 && seen.frontend_error.size() <= 200 && printable(seen.frontend_error),
          "what a guest says is bounded, and can be shown");
  require(seen.frontend <= xenbus_state::reconfigured && seen.backend <= xenbus_state::reconfigured,
          "a state is one of nine");
}

bool backend::step() {
  const auto seen = actors::read_nodes(store_, domain);
  require(seen.has_value(), "the nodes can be read, whatever they say");
  check(*seen);
  if (seen->frontend != frontend_)
    facts.given_up = false;
  frontend_ = seen->frontend;
  const auto next = pci::next_step(*seen, facts);
  require(!pci::to_string(next).empty(), "a step has a name");
  if (next == xenbus_step::none)
    return false;
  carry_out(next, *seen);
  check_places();
  return next != xenbus_step::tear_down;
}

void backend::carry_out(xenbus_step what, const pci::xenbus_nodes& seen) {
  using enum xenbus_state;
  const auto without_hot_plug = facts.connected || facts.domain_shut_down ? connected : initialised;
  switch (what) {
  case xenbus_step::none:
    return;
  case xenbus_step::prepare:
    return prepare(seen);
  case xenbus_step::export_all:
    facts.connected = false;
    return export_devices(seen, true, true, initialised);
  case xenbus_step::export_new:
    return export_devices(seen, false, true, seen.backend);
  case xenbus_step::connect:
  case xenbus_step::start_over:
    return connect(seen);
  case xenbus_step::reconfigure:
    facts.frontend_waited_out = facts.overtaken = false;
    return reconfigure(seen, reconfigured, true);
  case xenbus_step::complete:
  case xenbus_step::stand_in:
    facts.connected = facts.connected && what == xenbus_step::complete;
    facts.frontend_waited_out = false;
    return write(seen, connected);
  case xenbus_step::take_back:
    facts.frontend_waited_out = false;
    facts.overtaken = facts.connected;
    return reconfigure(seen, without_hot_plug, !facts.connected || seen.takes_hot_plug);
  case xenbus_step::catch_up:
    facts.overtaken = false;
    return write(seen, reconfigured);
  case xenbus_step::close:
  case xenbus_step::closed:
  case xenbus_step::restart:
    facts.connected = facts.started_over = false;
    facts.frontend_waited_out = false;
    return write(seen, what == xenbus_step::close ? closing : what == xenbus_step::closed ? closed : init_wait);
  case xenbus_step::call_again:
    facts.uncalled = false;
    require(actors::call_frontend(store_, domain).has_value(), "a frontend can be called");
    return;
  case xenbus_step::adopt:
    facts.unadopted = false;
    facts.connected = pci::was_connected(seen) && seen.magic == pci::wire::magic && seen.grant_reference;
    require(!facts.connected || pci::was_served(seen), "who was connected was served");
    return;
  case xenbus_step::tear_down:
    require(
        actors::forget_guest(store_, domain, facts.domain_ending, seen.exists ? seen.backend : unknown, {}).has_value(),
        "a guest can be forgotten");
    return forget();
  }
}

void backend::forget() {
  facts = {};
  exported_.clear();
  topology_ = pci::topology(mode_);
}

void backend::prepare(const pci::xenbus_nodes& seen) {
  if (seen.frontend_path != pci::paths::frontend(domain))
    return give_up(seen);
  facts.connected = facts.started_over = false;
  const auto accepted = actors::accept_guest(store_, domain, own_view);
  require(accepted || accepted.error().error == EBUSY, "a new directory is accepted");
  facts.uncalled = true;
}

void backend::connect(const pci::xenbus_nodes& seen) {
  facts.started_over = false;
  if (seen.magic != pci::wire::magic || !seen.grant_reference || !seen.event_channel) {
    facts.connected = false;
    return give_up(seen);
  }
  facts.connected = true;
  facts.uncalled = false;
  const bool plugging = seen.backend == xenbus_state::reconfiguring || seen.backend == xenbus_state::reconfigured;
  write(seen, plugging ? seen.backend : xenbus_state::connected);
}

void backend::give_up(const pci::xenbus_nodes& seen) {
  facts.given_up = true;
  write(seen, xenbus_state::closing);
}

/// False: it is no function, or there is no room.
bool backend::place(const pci::device_nodes& one, std::vector<pci::node_write>& into) {
  const auto host = pci::parse_node_sbdf(one.dev);
  if (!host)
    return false;
  auto at = topology_.virtual_address(*host);
  if (!at) {
    const auto added = topology_.add(*host, {host->function() == 7, {}, one.vdevfn});
    if (!added)
      return false;
    at = *added;
    exported_.insert(*host);
  }
  into.push_back({pci::node::numbered(pci::node::vdev, one.index), pci::to_vdev_string(*at)});
  into.push_back(state_of(one, xenbus_state::initialised));
  return true;
}

void backend::export_devices(const pci::xenbus_nodes& seen, bool again, bool strict, xenbus_state then) {
  std::vector<pci::node_write> writes;
  for (const auto& one : seen.devices) {
    const bool due = one.state == xenbus_state::initialising || (again && one.state == xenbus_state::initialised);
    if (!due || place(one, writes))
      continue;
    if (strict)
      return give_up(seen);
    writes.push_back(state_of(one, xenbus_state::closed));
  }
  write(seen, then, std::move(writes));
}

void backend::reconfigure(const pci::xenbus_nodes& seen, xenbus_state then, bool arrivals) {
  std::vector<pci::node_write> writes;
  for (const auto& one : seen.devices) {
    const auto host = pci::parse_node_sbdf(one.dev);
    if (one.state == xenbus_state::closing && host && exported_.erase(*host) != 0)
      require(topology_.remove(*host), "what was shown has a place");
    if (one.state == xenbus_state::initialising && (!arrivals || !place(one, writes)))
      writes.push_back(state_of(one, xenbus_state::closed));
    if (one.state == xenbus_state::closing)
      writes.push_back(state_of(one, xenbus_state::closed));
  }
  write(seen, then, std::move(writes));
}

void backend::write(const pci::xenbus_nodes& seen, xenbus_state state, std::vector<pci::node_write> more) {
  for (auto& each : pci::root_writes(seen.roots, topology_.roots(), facts.connected))
    more.push_back(std::move(each));
  more.push_back({pci::node::state, text_of(state)});
  require(actors::write_nodes(store_, domain, seen.backend, more).has_value(), "what was read can be written over");
}

/// Each function is where it is looked for, and no two are at one place.
void backend::check_places() const {
  require(topology_.size() == exported_.size(), "what is shown has a place, and nothing else");
  std::set<pci::sbdf> taken;
  for (const auto& host : exported_) {
    const auto at = topology_.virtual_address(host);
    require(at && taken.insert(*at).second, "each function has a place of its own");
    require(topology_.find(at->segment, at->bus, at->devfn) == host, "a function is found at its place");
    require(mode_ == pci::topology_mode::vpci ? at->segment == 0 && at->bus == 0 : *at == host,
            "a place is on the guest's bus");
  }
}

} // namespace nodes
