// SPDX-License-Identifier: GPL-2.0-or-later
// What settings say that is accepted and can hardly be meant.
#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "config/settings.hpp"
#include "pci/nearest.hpp"

namespace config {
namespace {

/// Whether the function may be one of them: what its ids and its class are, the settings do not say.
bool may_match(const pci::selector& what, const pci::sbdf& address) {
  return !what.address || what.address->matches(address);
}

const device* own_device(const settings& all, const pci::sbdf& address) {
  const auto is_it = [&](const device& one) { return one.match.is_plain() && one.match.whole_address() == address; };
  const auto found = std::find_if(all.devices.begin(), all.devices.end(), is_it);
  return found == all.devices.end() ? nullptr : &*found;
}

bool may_be_held(const settings& all, const pci::sbdf& address) {
  return std::any_of(all.devices.begin(), all.devices.end(),
                     [&](const device& one) { return one.hold && may_match(one.match, address); }) ||
         std::any_of(all.hide.begin(), all.hide.end(), [&](const auto& pattern) { return pattern.matches(address); });
}

void doubt_assignment(const settings& all, const assignment& one, const pci::sbdf& address, complaints& into) {
  const auto name = pci::to_string(address);
  for (const auto& before : all.assignments) {
    if (&before == &one) {
      break;
    }
    if (std::find(before.devices.begin(), before.devices.end(), address) != before.devices.end()) {
      into.push_back({one.at, fmt::format("{} is assigned to \"{}\" and, in line {}, to \"{}\"; only the guest that "
                                          "starts first gets it",
                                          name, one.domain, before.at.line, before.domain)});
    }
  }
  if (const auto* own = own_device(all, address); own != nullptr && !own->hold) {
    into.push_back({one.at, fmt::format("{} is assigned to \"{}\", but its [[device]] in line {} has hold = false; the "
                                        "guest waits until `pcibackctl hold {}`",
                                        name, one.domain, own->at.line, name)});
  } else if (own == nullptr && !may_be_held(all, address)) {
    into.push_back({one.at, fmt::format("{} is assigned to \"{}\", but nothing holds it; add a [[device]] with address "
                                        "= \"{}\"",
                                        name, one.domain, name)});
  }
}

/// The digits of a UUID may be of either case.
bool same_name(std::string_view a, std::string_view b) {
  constexpr std::size_t uuid = 36;
  const auto same = [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); };
  return a == b || (a.size() == uuid && std::equal(a.begin(), a.end(), b.begin(), b.end(), same));
}

bool overlap(const pci::quirk& a, const pci::quirk& b) {
  return a.offset < b.offset + b.width && b.offset < a.offset + a.width;
}

void doubt_quirks(const device& one, complaints& into) {
  const auto& quirks = one.policy.quirks;
  for (auto later = quirks.begin(); later != quirks.end(); ++later) {
    for (auto earlier = quirks.begin(); earlier != later; ++earlier) {
      if (overlap(*earlier, *later)) {
        into.push_back(
            {one.at, fmt::format("{}: the quirks {} and {} overlap; make one of them", pci::to_string(one.match),
                                 pci::to_string(*earlier), pci::to_string(*later))});
      }
    }
  }
}

} // namespace

complaints doubts_about(const settings& all) {
  complaints doubts;
  for (const auto& one : all.assignments) {
    for (const auto& address : one.devices) {
      doubt_assignment(all, one, address, doubts);
    }
  }
  for (const auto& one : all.devices) {
    doubt_quirks(one, doubts);
  }
  return doubts;
}

complaints unknown_guests(const settings& all, const std::vector<std::string>& known) {
  complaints doubts;
  const auto look = [&](const std::string& name, position at) {
    if (std::any_of(known.begin(), known.end(), [&](const auto& one) { return same_name(one, name); })) {
      return;
    }
    const auto near = pci::nearest(name, known);
    doubts.push_back({at, fmt::format("no guest \"{}\" is running{}", name,
                                      near.empty() ? "; that is fine if it is to be started later"
                                                   : fmt::format("; did you mean \"{}\"?", near))});
  };
  for (const auto& one : all.guests) {
    look(one.match, one.at);
  }
  for (const auto& one : all.assignments) {
    look(one.domain, one.at);
  }
  return doubts;
}

} // namespace config
