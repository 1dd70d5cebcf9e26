// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/errata.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace pci {
namespace {

struct card {
  std::uint16_t vendor;
  std::uint16_t device;
};

/// Do their DMA as function 1 of their slot too, where there is none: the IOMMU stops that.
constexpr std::array dma_as_function_1{
    card{0x1b4b, 0x9120}, card{0x1b4b, 0x9123}, card{0x1b4b, 0x9128}, card{0x1b4b, 0x9130}, card{0x1b4b, 0x9143},
    card{0x1b4b, 0x9172}, card{0x1b4b, 0x917a}, card{0x1b4b, 0x9182}, card{0x1b4b, 0x9183}, card{0x1b4b, 0x91a0},
    card{0x1b4b, 0x9215}, card{0x1b4b, 0x9220}, card{0x1b4b, 0x9230}, card{0x1b4b, 0x9235}, card{0x1103, 0x0642},
    card{0x1103, 0x0645}, card{0x197b, 0x2392}, card{0x1c28, 0x0122}};
/// Do all of it as function 0.
constexpr std::array dma_as_function_0{card{0x1180, 0xe832}, card{0x1180, 0xe476}};
/// Do not come back from a reset of their bus.
constexpr std::array no_bus_reset{card{0x168c, 0x0030}, card{0x168c, 0x0032}, card{0x168c, 0x0033},
                                  card{0x168c, 0x0034}, card{0x168c, 0x003c}, card{0x168c, 0x003e},
                                  card{0x177d, 0xa100}, card{0x104c, 0xb005}};
/// Nor from a function level reset.
constexpr std::array no_flr{card{0x1022, 0x1487}, card{0x1022, 0x148c}, card{0x1022, 0x149c},
                            card{0x1022, 0x7901}, card{0x8086, 0x1502}, card{0x8086, 0x1503}};

template <std::size_t Size>
bool is_one_of(const std::array<card, Size>& kinds, const identity& what) {
  return std::ranges::any_of(
      kinds, [&](const card& each) { return each.vendor == what.vendor && each.device == what.device; });
}

bool has(const std::vector<reset_option>& resets, reset_method how) {
  return std::ranges::any_of(resets, [how](const reset_option& each) { return each.method == how; });
}

std::string phantom(const sbdf& address, unsigned function) {
  return fmt::format("cards of its kind do DMA as function {} too, which the IOMMU stops; boot Xen with "
                     "pci-phantom={:x}:{:x}:{:x},{}",
                     function, address.segment, address.bus, address.slot(), 1);
}

std::string harmful(std::string_view how) {
  return fmt::format("cards of its kind do not come back from a reset by {0}, and dom0's kernel, which does not know, "
                     "would use it; write the others to its reset_method in sysfs",
                     how);
}

} // namespace

std::vector<std::string> known_errata(const identity& what, const std::vector<reset_option>& resets) {
  std::vector<std::string> notes;
  if (is_one_of(dma_as_function_1, what) && what.address.function() == 0)
    notes.push_back(phantom(what.address, 1));
  if (is_one_of(dma_as_function_0, what) && what.address.function() != 0)
    notes.push_back("cards of its kind do DMA as function 0 of their slot: a guest needs that one too");
  if (is_one_of(no_bus_reset, what) && has(resets, reset_method::bus))
    notes.push_back(harmful("bus"));
  if (is_one_of(no_flr, what) && has(resets, reset_method::flr))
    notes.push_back(harmful("flr"));
  if ((is_one_of(no_bus_reset, what) || is_one_of(no_flr, what)) && resets.empty())
    notes.emplace_back(
        "cards of its kind do not come back from the reset that they have, so dom0's kernel has none for "
        "it: what a guest has put into it may still be there for the next");
  return notes;
}

std::string reserved_memory_of(const sbdf& address, const std::vector<reserved_region>& all) {
  std::string text;
  for (const auto& region : all) {
    if (std::ranges::find(region.functions, address) == region.functions.end())
      continue;
    text += fmt::format("{}{:x}-{:x}", text.empty() ? "" : "; ", region.first, region.last);
    const char* word = ", with ";
    for (const auto& other : region.functions)
      if (other != address)
        text += std::exchange(word, " and ") + to_string(other);
  }
  return text;
}

} // namespace pci
