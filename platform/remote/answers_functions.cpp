// SPDX-License-Identifier: GPL-2.0-or-later
// dom0's PCI functions for the worker. Looking is free; what is done is done with functions that are held.
#include <algorithm>

#include <fmt/format.h>

#include "pci/protocol/xenstore_paths.hpp"
#include "platform/remote/dispatch.hpp"
#include "platform/remote/node_rules.hpp"

namespace platform::remote {
namespace {

using all_of = server::surroundings;

pci::result<void> hold(const all_of& all, const pci::sbdf& address, holder how, bool seize) {
  auto& functions = all.where.pci();
  const auto what = functions.identify(address);
  if (!what)
    return tl::unexpected(what.error());
  // The worker looks itself, and says how to mend it: who comes so far has been told otherwise.
  if (const auto use = functions.needed_for(address); !use.empty() && !all.overrides_boot(*what))
    return refuse(fmt::format("dom0 needs {}: it {}", pci::to_string(address), use));
  return functions.hold(address, how, seize).and_then([&]() -> pci::result<void> {
    auto noted = all.known.note_held(address);
    if (!noted && !all.known.reference(address))
      static_cast<void>(functions.release(address)); // nothing could be done with it
    return noted || all.known.reference(address) ? pci::result<void>{} : noted;
  });
}

/// Held, or known to be: a holder has it although nobody here has taken it.
pci::result<void> check_to_give_back(const all_of& all, const pci::sbdf& address) {
  if (all.known.reference(address))
    return {};
  const auto driver = all.where.pci().driver(address);
  if (driver && is_holder(*driver))
    return {};
  return refuse(pci::to_string(address) + " is not held, so it cannot be given back");
}

/// With a method that hits nobody but functions that are held.
pci::result<void> reset(const all_of& all, const pci::sbdf& address, pci::reset_method how) {
  auto& functions = all.where.pci();
  return all.known.held(address).and_then([&](const pci::function& /*held*/) -> pci::result<void> {
    const auto options = functions.reset_options(address);
    if (!options)
      return tl::unexpected(options.error());
    const auto option = std::ranges::find(*options, how, &pci::reset_option::method);
    if (option == options->end())
      return pci::fail(ENOTSUP, fmt::format("{} has no reset by {}", pci::to_string(address), to_string(how)));
    for (const auto& other : option->hits)
      if (auto also = all.known.held(other); !also)
        return tl::unexpected(std::move(also.error()));
    return functions.reset(address, how);
  });
}

/// For reading and writing when it is held; for reading, of the physical function of one that is.
pci::result<handed> open_config(const all_of& all, const pci::sbdf& address) {
  auto held = all.known.held(address);
  if (!held && held.error().error == EPERM && all.known.is_physical_of_held(address))
    return all.hands.config(address, false);
  return held.and_then([&](const pci::function& /*held*/) { return all.hands.config(address, true); });
}

/// What a function goes back to is what this process took it from, or what libxl has noted, which the worker cannot
/// change.
pci::result<void> remember(const all_of& all, const pci::sbdf& address, const std::string& driver) {
  const bool plain = !driver.empty() && driver.find_first_of("/\n") == std::string::npos && driver.front() != '.';
  const auto note = all.where.xenstore().read(pci::paths::libxl_function(address, pci::node::driver_path));
  if (!plain || !note || *note != pci::paths::driver_path(driver))
    return refuse(fmt::format("nobody but the worker knows a driver of {}", pci::to_string(address)));
  if (all.known.previous_driver(address).empty())
    all.where.pci().remember_driver(address, driver);
  return {};
}

void add_look_calls(dispatch& to, const all_of& all) {
  auto& functions = all.where.pci();
  to.on<of::list>([&] { return pci::result<std::vector<pci::sbdf>>(functions.list()); });
  to.on<of::beyond_xen>([&] { return pci::result<std::vector<std::string>>(functions.beyond_xen()); });
  to.on<of::reserved_regions>(
      [&] { return pci::result<std::vector<pci::reserved_region>>(functions.reserved_regions()); });
  to.on<of::describe>([&](const pci::sbdf& address) { return functions.describe(address); });
  to.on<of::identify>([&](const pci::sbdf& address) { return functions.identify(address); });
  to.on<of::resources>([&](const pci::sbdf& address) { return functions.resources(address); });
  to.on<of::needed_for>(
      [&](const pci::sbdf& address) { return pci::result<std::string>(functions.needed_for(address)); });
  to.on<of::driver>([&](const pci::sbdf& address) { return functions.driver(address); });
  to.on<of::previous_driver>(
      [&](const pci::sbdf& address) { return pci::result<std::string>(functions.previous_driver(address)); });
  to.on<of::power_before>([&](const pci::sbdf& address) {
    return pci::result<std::optional<power_settings>>(functions.power_before(address));
  });
  to.on<of::reset_options>([&](const pci::sbdf& address) { return functions.reset_options(address); });
  to.on<of::boot_id>([&] { return pci::result<std::string>(functions.boot_id()); });
}

} // namespace

void add_function_calls(dispatch& to, const all_of& all) {
  add_look_calls(to, all);
  to.on<of::open_config>([all](const pci::sbdf& address) { return open_config(all, address); });
  to.on<of::hold>([all](const pci::sbdf& address, holder how, bool seize) { return hold(all, address, how, seize); });
  to.on<of::release>([all](const pci::sbdf& address) {
    return check_to_give_back(all, address).and_then([&] { return all.where.pci().release(address); }).map([&] {
      all.known.forget(address);
    });
  });
  to.on<of::let_go>([all](const pci::sbdf& address) {
    return check_to_give_back(all, address).and_then([&] { return all.where.pci().let_go(address); }).map([&] {
      all.known.forget(address);
    });
  });
  to.on<of::remember_driver>(
      [all](const pci::sbdf& address, const std::string& driver) { return remember(all, address, driver); });
  // What the worker could say wrongly it could do itself: how dom0 manages the power of a function that it gives back.
  to.on<of::remember_power>([all](const pci::sbdf& address, const power_settings& before) {
    return check_to_give_back(all, address).map([&] { all.where.pci().remember_power(address, before); });
  });
  to.on<of::reset>([all](const pci::sbdf& address, pci::reset_method how) { return reset(all, address, how); });
}

void add_line_calls(dispatch& to, const all_of& all) {
  auto& lines = all.where.lines();
  auto& guards = all.where.guards();
  to.on<of::line_facts>([&](std::uint32_t gsi) { return pci::result<pci::line_facts>(lines.facts(gsi)); });
  to.on<of::line_counts>([&](std::uint32_t gsi) { return lines.counts(gsi); });
  to.on<of::gives_up_lines>([&] { return lines.gives_up_lines(); });
  to.on<of::set_gives_up_lines>([&](bool on) { return lines.set_gives_up_lines(on); });
  to.on<of::listen>([all, &lines](const pci::sbdf& address) {
    return all.known.held(address).and_then([&](const pci::function& /*held*/) { return lines.listen(address); });
  });
  // Of the last four none does anything to a function that has no handler, no guard.
  to.on<of::ignore>([&](const pci::sbdf& address) {
    lines.ignore(address);
    return pci::result<void>{};
  });
  to.on<of::arm_guard>([all, &guards](const pci::sbdf& address) {
    return all.known.reference(address).and_then([&](const pci::function& /*held*/) { return guards.arm(address); });
  });
  to.on<of::release_guard>([&](const pci::sbdf& address) {
    guards.release(address);
    return pci::result<void>{};
  });
  to.on<of::look_at_guard>([&](const pci::sbdf& address) {
    guards.look(address);
    return pci::result<void>{};
  });
  to.on<of::guard_state>(
      [&](const pci::sbdf& address) { return pci::result<pci::guard_state>(guards.state(address)); });
  to.on<of::guarded>([&] { return pci::result<std::vector<pci::sbdf>>(guards.guarded()); });
}

} // namespace platform::remote
