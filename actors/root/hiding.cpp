// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/root/hiding.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "pci/config_space/usable.hpp"

namespace actors {
namespace {

bool is_named(const settings& what, const pci::sbdf& address) {
  return what.devices.contains(address) || std::any_of(what.rules.begin(), what.rules.end(), [&](const auto& rule) {
           return rule.match.whole_address() == address;
         });
}

// A wildcard or a class never means a bridge, whatever it says: dom0 needs what is behind it.
const settings::device* wanted_hold(const settings& what, const pci::identity& function) {
  const auto* wanted = what.find(function);
  const auto bridge = pci::is_bridge(function) && !is_named(what, function.address);
  return wanted != nullptr && wanted->hold && !bridge ? wanted : nullptr;
}

// The kernel's hide= of a bridge takes what is below it, too; what a [[device]] says of one of these counts more.
const settings::device* hidden_with_bridge(platform::host& host, const settings& what, const pci::sbdf& address) {
  static const settings::device plain;
  if (what.hidden.empty()) {
    return nullptr;
  }
  const auto function = host.pci().describe(address);
  if (!function || what.find(pci::identity_of(*function)) != nullptr) {
    return nullptr;
  }
  const auto hides = [&](const pci::sbdf& bridge) { return what.hidden.contains(bridge); };
  return std::any_of(function->bridges.begin(), function->bridges.end(), hides) ? &plain : nullptr;
}

std::string object(platform::host& host, const pci::function& function, const settings::device& wanted) {
  if (pci::is_silent(function)) {
    return "it is silent (powered off?): all its registers read ones";
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
             : fmt::format("dom0 needs it: it {}; override_boot = true in its [[device]] holds it in spite of that",
                           use);
}

} // namespace

const settings::device* settings::find(const pci::identity& what) const {
  const device* best = nullptr;
  pci::selector::rank exactness;
  if (const auto exact = devices.find(what.address); exact != devices.end()) {
    best = &exact->second;
    exactness = pci::selector(what.address).exactness();
  }
  for (const auto& rule : rules) {
    if (rule.match.matches(what) && (best == nullptr || rule.match.exactness() > exactness)) {
      best = &rule.wanted;
      exactness = rule.match.exactness();
    }
  }
  return best;
}

std::vector<std::pair<pci::sbdf, bool>> functions_to_hold(platform::host& host, const settings& what) {
  std::vector<std::pair<pci::sbdf, bool>> found;
  for (const auto& [address, device] : what.devices) {
    // Of one that is not there its holding tells.
    const auto function = host.pci().identify(address);
    const auto& wanted = function ? *what.find(*function) : device;
    if (wanted.hold) {
      found.emplace_back(address, wanted.seize);
    }
  }
  for (const auto& address : what.rules.empty() && what.hidden.empty() ? std::vector<pci::sbdf>{} : host.pci().list()) {
    const auto function = host.pci().identify(address);
    if (!function || what.devices.contains(address)) {
      continue;
    }
    const auto* wanted = wanted_hold(what, *function);
    if (wanted == nullptr) {
      wanted = hidden_with_bridge(host, what, address);
    }
    if (wanted != nullptr) {
      found.emplace_back(address, wanted->seize);
    }
  }
  return found;
}

std::optional<settings::device> wanted_when_added(platform::host& host, const settings& what,
                                                  const pci::sbdf& address) {
  const auto function = host.pci().identify(address);
  const auto* wanted = function ? wanted_hold(what, *function) : nullptr;
  if (function && wanted == nullptr) {
    wanted = hidden_with_bridge(host, what, address);
  }
  return wanted == nullptr ? std::nullopt : std::optional{*wanted};
}

pci::result<admission> admit(platform::host& host, const settings& what, const pci::sbdf& address) {
  const auto function = host.pci().describe(address);
  if (!function) {
    return tl::unexpected(function.error());
  }
  admission found;
  found.what = pci::identity_of(*function);
  if (const auto* wanted = what.find(found.what)) {
    found.wanted = *wanted;
  }
  found.physical_function = function->physical_function;
  found.objection = object(host, *function, found.wanted);
  return found;
}

} // namespace actors
