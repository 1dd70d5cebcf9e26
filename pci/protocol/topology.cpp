// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/topology.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

namespace pci {
namespace {

constexpr std::uint8_t slots = 32;
constexpr std::uint8_t functions = 8; ///< of a slot

bool same_slot(const sbdf& left, const sbdf& right) {
  return left.segment == right.segment && left.bus == right.bus && left.slot() == right.slot();
}

} // namespace

std::optional<sbdf> topology::virtual_address(const sbdf& host) const {
  const auto found = std::ranges::find(places_, host, &place::host);
  return found == places_.end() ? std::nullopt : std::optional{found->seen};
}

result<void> topology::adopt(const sbdf& host, const sbdf& virtual_address, bool is_virtual_function) {
  return put({host, virtual_address, is_virtual_function, true, {}});
}

result<void> topology::put(place what) {
  for (const auto& taken : places_) {
    if (taken.host == what.host)
      return fail(EEXIST, fmt::format("{} has its place at {} already", to_string(what.host), to_string(taken.seen)));
    if (taken.seen == what.seen)
      return fail(EEXIST, fmt::format("{}: {} is at {} already", to_string(what.host), to_string(taken.host),
                                      to_string(what.seen)));
  }
  places_.push_back(std::move(what));
  return {};
}

/// The number that a function gets beside those that are in a slot, which stay as they are; empty: there is none.
std::optional<std::uint8_t> topology::number_in(std::uint8_t slot, const sbdf& host) const {
  const auto is_free = [&](unsigned number) { return !find(0, 0, slot * functions + number); };
  if (numbers_ == function_numbers::kept)
    return is_free(host.function()) ? std::optional{host.function()} : std::nullopt;
  if (is_free(0))
    return 0;
  if (is_free(host.function()))
    return host.function();
  for (std::uint8_t number = 1; number < functions; ++number)
    if (is_free(number))
      return number;
  return std::nullopt;
}

/// A slot that a toolstack names is one card's, as others are.
bool topology::has_room_for(const sbdf& host, std::uint8_t devfn) const {
  return !find(0, 0, devfn) && std::ranges::all_of(places_, [&](const place& one) {
    return one.seen.slot() != devfn / functions || same_slot(one.host, host);
  });
}

/// The slot is the one where pciback's vpci mode puts a function (spec 7.6): that of the functions of the same physical
/// slot, or else the first empty one. A virtual function number 0 stays alone, for its number 0 is not its slot's.
std::optional<sbdf> topology::vpci_place(const sbdf& host, const placing& how) const {
  // libxl means no slot in particular by 0.
  if (how.wish && *how.wish >= functions && has_room_for(host, *how.wish))
    return sbdf{0, 0, *how.wish};
  const auto first_in = [this](std::uint8_t slot) {
    return std::ranges::find(places_, slot, [](const place& one) { return one.seen.slot(); });
  };
  const auto alone = [](const place& one) { return one.is_virtual_function && one.host.function() == 0; };
  const bool may_share = !how.is_virtual_function || host.function() != 0;
  for (std::uint8_t slot = 0; may_share && slot < slots; ++slot) {
    const auto first = first_in(slot);
    if (first == places_.end() || alone(*first) || !same_slot(first->host, host))
      continue;
    if (const auto number = number_in(slot, host))
      return make_sbdf(0, 0, slot, *number);
  }
  for (std::uint8_t slot = 0; slot < slots; ++slot)
    if (first_in(slot) == places_.end())
      return make_sbdf(0, 0, slot, number_in(slot, host).value_or(0));
  return std::nullopt;
}

result<sbdf> topology::add(const sbdf& host, const placing& how) {
  const auto seen = mode_ == topology_mode::passthrough ? host : vpci_place(host, how);
  if (!seen && !virtual_address(host))
    return fail(ENOMEM, fmt::format("{}: No more space on root virtual PCI bus", to_string(host)));
  const bool wanted = how.wish && seen && seen->devfn == *how.wish;
  // Without `seen` the function has its place already, and that is what put() says.
  return put({host, seen.value_or(host), how.is_virtual_function, wanted, how.bridges}).map([&] { return *seen; });
}

void topology::settle() {
  if (mode_ == topology_mode::passthrough || numbers_ == function_numbers::kept)
    return;
  for (std::uint8_t slot = 0; slot < slots; ++slot) {
    std::vector<place*> here;
    for (auto& one : places_)
      if (one.seen.slot() == slot)
        here.push_back(&one);
    if (here.empty() || std::ranges::any_of(here, &place::fixed))
      continue;
    const bool whole = std::ranges::any_of(here, [](const place* one) { return one->host.function() == 0; });
    for (auto* one : here)
      one->seen = make_sbdf(0, 0, slot, !whole && one == here.front() ? 0 : one->host.function());
  }
}

bool topology::remove(const sbdf& host) {
  return std::erase_if(places_, [&](const place& one) { return one.host == host; }) != 0;
}

std::optional<sbdf> topology::find(std::uint32_t domain, std::uint32_t bus, std::uint32_t devfn) const {
  if (domain > 0xffff || bus > 0xff || devfn > 0xff)
    return std::nullopt;
  const sbdf asked{static_cast<std::uint16_t>(domain), static_cast<std::uint8_t>(bus),
                   static_cast<std::uint8_t>(devfn)};
  const auto found = std::ranges::find(places_, asked, &place::seen);
  return found == places_.end() ? std::nullopt : std::optional{found->host};
}

std::vector<topology::root> topology::roots() const {
  if (mode_ == topology_mode::vpci)
    return {root{}};
  std::vector<root> all;
  for (const auto& one : places_) {
    const root bus{one.seen.segment, one.seen.bus};
    if (!is_behind_placed(one) && std::find(all.begin(), all.end(), bus) == all.end())
      all.push_back(bus);
  }
  return all;
}

bool topology::is_behind_placed(const place& what) const {
  return std::ranges::any_of(what.bridges, [this](const sbdf& bridge) { return virtual_address(bridge).has_value(); });
}

} // namespace pci
