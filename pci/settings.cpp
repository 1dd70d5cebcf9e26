// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/settings.hpp"

#include <algorithm>
#include <set>

namespace pci {
namespace {

/// What hide= says of each of its functions.
const settings::device plain{};

bool is_only(const selector& match, const sbdf& address) {
  return match.is_plain() && match.whole_address() == address;
}

} // namespace

const settings::device* settings::find(const identity& what) const {
  const device* best = nullptr;
  selector::rank exactness;
  const auto consider = [&](const selector& match, const device& one) {
    if (match.matches(what) && (best == nullptr || match.exactness() > exactness)) {
      best = &one;
      exactness = match.exactness();
    }
  };
  for (const auto& one : devices)
    consider(one.match, one);
  for (const auto& pattern : hide)
    consider(pattern, plain);
  return best;
}

const settings::device* settings::named(const sbdf& address) const {
  const auto found = std::ranges::find_if(devices, [&](const device& one) { return is_only(one.match, address); });
  if (found != devices.end())
    return &*found;
  return hides(address) ? &plain : nullptr;
}

bool settings::mentions(const sbdf& address) const {
  return hides(address) ||
         std::ranges::any_of(devices, [&](const device& one) { return one.match.whole_address() == address; });
}

bool settings::hides(const sbdf& address) const {
  return std::ranges::any_of(hide, [&](const auto& pattern) { return selector(pattern).whole_address() == address; });
}

std::vector<sbdf> settings::named_addresses() const {
  std::set<sbdf> found;
  for (const auto& one : devices)
    if (one.match.is_plain())
      found.insert(*one.match.whole_address());
  for (const auto& pattern : hide)
    if (const auto address = selector(pattern).whole_address())
      found.insert(*address);
  return {found.begin(), found.end()};
}

settings::device& settings::own(const sbdf& address) {
  const auto found = std::ranges::find_if(devices, [&](const device& one) { return is_only(one.match, address); });
  if (found != devices.end())
    return *found;
  auto& made = devices.emplace_back();
  made.match = address;
  return made;
}

} // namespace pci
