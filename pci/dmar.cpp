// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/dmar.hpp"

#include <utility>

namespace pci {
namespace {

constexpr std::size_t table_header = 48; ///< ACPI's, the address width, flags, 10 reserved bytes
constexpr std::uint16_t rmrr = 1;        ///< a structure's type
constexpr std::size_t rmrr_header = 24;
constexpr std::uint8_t endpoint = 1; ///< a device scope's type
constexpr std::size_t scope_header = 6;

std::uint64_t number(std::span<const std::byte> bytes, std::size_t at, unsigned width) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < width; ++i)
    value |= std::to_integer<std::uint64_t>(bytes[at + i]) << (8 * i);
  return value;
}

/// The path from a bus to a function: slot and function of each bridge on the way, then its own.
std::optional<sbdf> follow(std::span<const std::byte> scope, std::uint16_t segment, const bus_behind& behind) {
  auto bus = static_cast<std::uint8_t>(number(scope, 5, 1));
  std::optional<sbdf> at;
  for (std::size_t hop = scope_header; hop + 2 <= scope.size(); hop += 2) {
    if (at) {
      const auto next = behind(*at);
      if (!next)
        return std::nullopt;
      bus = *next;
    }
    at = make_sbdf(segment, bus, static_cast<std::uint8_t>(number(scope, hop, 1)),
                   static_cast<std::uint8_t>(number(scope, hop + 1, 1)));
  }
  return at;
}

reserved_region read_region(std::span<const std::byte> structure, const bus_behind& behind) {
  reserved_region found{number(structure, 8, 8), number(structure, 16, 8), {}};
  const auto segment = static_cast<std::uint16_t>(number(structure, 6, 2));
  for (std::size_t at = rmrr_header; at + scope_header <= structure.size();) {
    const auto length = static_cast<std::size_t>(number(structure, at + 1, 1));
    if (length < scope_header || length > structure.size() - at)
      break;
    const auto function = follow(structure.subspan(at, length), segment, behind);
    if (number(structure, at, 1) == endpoint && function)
      found.functions.push_back(*function);
    at += length;
  }
  return found;
}

} // namespace

std::vector<reserved_region> read_reserved_regions(std::span<const std::byte> table, const bus_behind& behind) {
  std::vector<reserved_region> all;
  for (std::size_t at = table_header; at + 4 <= table.size();) {
    const auto length = static_cast<std::size_t>(number(table, at + 2, 2));
    if (length < 4 || length > table.size() - at)
      break;
    if (number(table, at, 2) == rmrr && length >= rmrr_header)
      if (auto region = read_region(table.subspan(at, length), behind); !region.functions.empty())
        all.push_back(std::move(region));
    at += length;
  }
  return all;
}

} // namespace pci
