// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/root/hiding.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "pci/config_space/usable.hpp"

namespace actors {
namespace {

// A wildcard or a class never means a bridge, whatever it says: dom0 needs what is behind it.
const settings::device* wanted_hold(const settings& what, const pci::identity& function) {
  const auto* wanted = what.find(function);
  const auto bridge = pci::is_bridge(function) && !what.mentions(function.address);
  return wanted != nullptr && wanted->hold && !bridge ? wanted : nullptr;
}

bool hides_bridges(const settings& what) {
  return std::ranges::any_of(what.hide,
                             [](const auto& pattern) { return pci::selector(pattern).whole_address().has_value(); });
}

// The kernel's hide= of a bridge takes what is below it, too; what a [[device]] says of one of these counts more.
bool hidden_with_bridge(const settings& what, const pci::function& function) {
  return what.find(pci::identity_of(function)) == nullptr &&
         std::ranges::any_of(function.bridges, [&](const pci::sbdf& bridge) { return what.hides(bridge); });
}

std::string object(platform::host& host, const pci::function& function, const settings::device& wanted) {
  if (pci::is_silent(function)) {
    return "it is silent (powered off?): all its registers read as ones";
  }
  const auto layout = function.header_layout();
  if (layout > 1) {
    return fmt::format("its header is of type {}, which is neither a card's nor a PCI bridge's", layout);
  }
  if (auto other = wanted.pin ? pci::mismatch(*wanted.pin, function) : std::string{}; !other.empty()) {
    return other;
  }
  const auto use = wanted.override_boot ? std::string{} : host.pci().needed_for(function.address);
  return use.empty()
             ? use
             : fmt::format("dom0 needs it: it {}; to hold it all the same, set override_boot = true in its [[device]]",
                           use);
}

admission examine(platform::host& host, const settings& what, const pci::function& function) {
  admission found;
  found.what = pci::identity_of(function);
  if (const auto* wanted = what.find(found.what)) {
    found.wanted = *wanted;
  }
  found.physical_function = function.physical_function;
  found.objection = object(host, function, found.wanted);
  return found;
}

} // namespace

std::vector<std::pair<pci::sbdf, bool>> functions_to_hold(platform::host& host, const settings& what) {
  std::vector<std::pair<pci::sbdf, bool>> found;
  const auto named = what.named_addresses();
  for (const auto& address : named) {
    // Of one that is not there its holding tells.
    const auto function = host.pci().identify(address);
    const auto& wanted = function ? *what.find(*function) : *what.named(address);
    if (wanted.hold) {
      found.emplace_back(address, wanted.seize);
    }
  }
  const bool below_bridges = hides_bridges(what);
  const bool names_all = named.size() == what.devices.size() && what.hide.empty();
  for (const auto& address : names_all ? std::vector<pci::sbdf>{} : host.pci().list()) {
    const auto function = host.pci().identify(address);
    if (!function || what.named(address) != nullptr) {
      continue;
    }
    if (const auto* wanted = wanted_hold(what, *function)) {
      found.emplace_back(address, wanted->seize);
    } else if (below_bridges) {
      const auto all_of_it = host.pci().describe(address);
      if (all_of_it && hidden_with_bridge(what, *all_of_it)) {
        found.emplace_back(address, false);
      }
    }
  }
  return found;
}

std::optional<arrival> look_at_added(platform::host& host, const settings& what, const pci::sbdf& address) {
  const auto identity = host.pci().identify(address);
  if (!identity) {
    return std::nullopt;
  }
  if (const auto* wanted = wanted_hold(what, *identity)) {
    return arrival{wanted->seize};
  }
  if (!hides_bridges(what)) {
    return std::nullopt;
  }
  const auto function = host.pci().describe(address);
  if (!function || !hidden_with_bridge(what, *function)) {
    return std::nullopt;
  }
  return arrival{false, examine(host, what, *function)};
}

pci::result<admission> admit(platform::host& host, const settings& what, const pci::sbdf& address) {
  return host.pci().describe(address).map([&](const pci::function& is) { return examine(host, what, is); });
}

} // namespace actors
