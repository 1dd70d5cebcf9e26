#include "pci/protocol/topology.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

namespace pci {
namespace {

constexpr std::uint8_t slots = 32;

bool same_slot(const sbdf& left, const sbdf& right) {
  return left.segment == right.segment && left.bus == right.bus && left.slot() == right.slot();
}

} // namespace

std::optional<sbdf> topology::virtual_address(const sbdf& host) const {
  const auto found = std::ranges::find(places_, host, &place::host);
  return found == places_.end() ? std::nullopt : std::optional{found->seen};
}

result<void> topology::adopt(const sbdf& host, const sbdf& virtual_address, bool is_virtual_function) {
  for (const auto& taken : places_) {
    if (taken.host == host)
      return fail(EEXIST, fmt::format("{} has its place at {} already", to_string(host), to_string(taken.seen)));
    if (taken.seen == virtual_address)
      return fail(EEXIST, fmt::format("{}: {} is at {} already", to_string(host), to_string(taken.host),
                                      to_string(virtual_address)));
  }
  places_.push_back({host, virtual_address, is_virtual_function});
  return {};
}

/// Where pciback's vpci mode puts a function (spec 7.6): beside the functions of the same physical slot, or else into
/// the first empty slot. A virtual function number 0 stays alone, for its number 0 is not its slot's. Function numbers
/// are kept.
std::optional<sbdf> topology::vpci_place(const sbdf& host, bool is_virtual_function) const {
  const auto first_in = [this](std::uint8_t slot) {
    return std::ranges::find(places_, slot, [](const place& one) { return one.seen.slot(); });
  };
  const auto alone = [](const place& one) { return one.is_virtual_function && one.host.function() == 0; };
  const bool may_share = !is_virtual_function || host.function() != 0;
  for (std::uint8_t slot = 0; may_share && slot < slots; ++slot) {
    const auto first = first_in(slot);
    const auto seen = make_sbdf(0, 0, slot, host.function());
    if (first != places_.end() && !alone(*first) && same_slot(first->host, host) && !find(0, 0, seen.devfn))
      return seen;
  }
  for (std::uint8_t slot = 0; slot < slots; ++slot)
    if (first_in(slot) == places_.end())
      return make_sbdf(0, 0, slot, host.function());
  return std::nullopt;
}

result<sbdf> topology::add(const sbdf& host, bool is_virtual_function) {
  const auto seen = mode_ == topology_mode::passthrough ? host : vpci_place(host, is_virtual_function);
  if (!seen && !virtual_address(host))
    return fail(ENOMEM, fmt::format("{}: No more space on root virtual PCI bus", to_string(host)));
  // Without `seen` the function has its place already, and that is what adopt() says.
  return adopt(host, seen.value_or(host), is_virtual_function).map([&] { return *seen; });
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
    if (std::find(all.begin(), all.end(), bus) == all.end())
      all.push_back(bus);
  }
  return all;
}

} // namespace pci
