// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/control/wishes.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "actors/root/hiding.hpp"
#include "pci/nearest.hpp"

namespace actors::control {
namespace {

using messages::function_state;
using messages::wish_gap;

const guest* called(const std::vector<guest>& guests, const std::string& text) {
  const auto found = std::ranges::find_if(guests, [&](const guest& each) { return is_called(each.names, text); });
  return found == guests.end() ? nullptr : &*found;
}

bool is_assigned_anything(const settings& what, const guest_names& who) {
  return std::ranges::any_of(what.assignments, [&](const auto& each) { return is_called(who, each.domain); });
}

// One that has an [[assign]] of its own was not meant by another's.
std::string nearest_guest(const settings& what, const std::vector<guest>& guests, const std::string& text) {
  std::vector<std::string> names;
  for (const auto& each : guests) {
    if (!is_assigned_anything(what, each.names)) {
      names.push_back(each.names.name);
    }
  }
  return std::string(pci::nearest(text, names));
}

const messages::function_status* status_of(const messages::overview& all, const pci::sbdf& address) {
  const auto found = std::ranges::find(all.functions, address, &messages::function_status::address);
  return found == all.functions.end() ? nullptr : &*found;
}

bool is_held(const messages::function_status* status) {
  return status != nullptr && status->state != function_state::refused && status->state != function_state::gone;
}

/// Of one that is not held.
messages::unmet_wish unheld(const pci::sbdf& address, const seen_functions& seen,
                            const messages::function_status* status, const last_trouble& trouble) {
  const auto found = seen.find(address);
  messages::unmet_wish wish;
  wish.address = address;
  if (found == seen.end() || !found->second.there) {
    wish.gap = wish_gap::absent;
    wish.why = "the host has no such function";
    return wish;
  }
  wish.gap = wish_gap::not_held;
  if (!platform::is_holder(found->second.driver)) {
    wish.driver = found->second.driver;
  }
  if (status != nullptr && !status->detail.empty()) {
    wish.why = status->detail;
  } else if (!wish.driver.empty()) {
    wish.why = fmt::format("dom0's driver {} has it", wish.driver);
  } else {
    const auto last = trouble(address);
    wish.why = last.empty() ? "it is not held" : last;
  }
  return wish;
}

/// Why a held function is not the guest's; empty: it is.
std::string not_given(const messages::function_status& status, const guest& whose, const last_trouble& trouble) {
  if (status.domain == whose.domain || status.target == whose.domain) {
    return {};
  }
  if (status.domain) {
    return fmt::format("{} has it", status.guest.empty() ? fmt::format("domain {}", *status.domain) : status.guest);
  }
  const auto last = trouble(status.address);
  return !last.empty()            ? last
         : !status.detail.empty() ? fmt::format("it is {}: {}", messages::to_string(status.state), status.detail)
                                  : fmt::format("it is {}", messages::to_string(status.state));
}

} // namespace

seen_functions look_at_functions(platform::host& host, const settings& what, const std::vector<pci::sbdf>& others) {
  seen_functions seen;
  for (const auto& [address, seize] : functions_to_hold(host, what)) {
    seen[address].wanted = true;
  }
  for (const auto& each : what.assignments) {
    for (const auto& address : each.devices) {
      seen.try_emplace(address);
    }
  }
  for (const auto& address : others) {
    seen.try_emplace(address);
  }
  for (auto& [address, is] : seen) {
    is.there = host.pci().identify(address).has_value();
    is.driver = is.there ? host.pci().driver(address).value_or(std::string{}) : std::string{};
  }
  return seen;
}

std::optional<messages::assignment_account> assignment_of(const settings& what, const std::vector<guest>& guests,
                                                          const pci::sbdf& address) {
  for (const auto& each : what.assignments) {
    if (std::ranges::find(each.devices, address) == each.devices.end()) {
      continue;
    }
    messages::assignment_account found;
    found.guest = each.domain;
    if (const auto* who = called(guests, each.domain)) {
      found.domain = who->domain;
    } else {
      found.nearest = nearest_guest(what, guests, each.domain);
    }
    return found;
  }
  return std::nullopt;
}

std::string misspelt_assignment(const settings& what, const std::vector<guest>& guests, const guest_names& who) {
  if (is_assigned_anything(what, who)) {
    return {};
  }
  std::vector<std::string> names;
  for (const auto& each : what.assignments) {
    if (called(guests, each.domain) == nullptr) {
      names.push_back(each.domain);
    }
  }
  return std::string(pci::nearest(who.name, names));
}

std::vector<messages::unmet_wish> unmet_wishes(const settings& what, const messages::overview& all,
                                               const seen_functions& seen,
                                               const std::optional<std::vector<guest>>& guests,
                                               const last_trouble& trouble) {
  std::vector<messages::unmet_wish> unmet;
  std::vector<pci::sbdf> assigned;
  for (const auto& each : guests ? what.assignments : std::vector<settings::assignment>{}) {
    for (const auto& address : each.devices) {
      const auto* status = status_of(all, address);
      assigned.push_back(address);
      messages::unmet_wish wish;
      if (!is_held(status)) {
        wish = unheld(address, seen, status, trouble);
      } else if (const auto* who = called(*guests, each.domain)) {
        wish = {address, wish_gap::not_given, {}, {}, not_given(*status, *who, trouble)};
      } else {
        const auto near = nearest_guest(what, *guests, each.domain);
        wish = {address,
                wish_gap::no_guest,
                {},
                {},
                fmt::format("no guest called \"{}\" runs{}", each.domain,
                            near.empty() ? std::string{} : fmt::format("; did you mean \"{}\"?", near))};
      }
      wish.guest = each.domain;
      if (!wish.why.empty()) {
        unmet.push_back(std::move(wish));
      }
    }
  }
  for (const auto& [address, is] : seen) {
    if (is.wanted && !is_held(status_of(all, address)) && std::ranges::find(assigned, address) == assigned.end()) {
      unmet.push_back(unheld(address, seen, status_of(all, address), trouble));
    }
  }
  std::ranges::stable_sort(unmet, {}, &messages::unmet_wish::address);
  return unmet;
}

} // namespace actors::control
