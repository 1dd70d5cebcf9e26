// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/config_space/base_registers.hpp"

#include <cstddef>

#include "pci/config_space/registers.hpp"

namespace pci {
namespace {

constexpr std::uint32_t io_type_bits = 0x3, memory_type_bits = 0xf;
constexpr std::uint32_t type_io = 0x1, type_64 = 0x4, type_prefetch = 0x8;

/// PCI 3.0 section 6.2.5.1. Linux keeps these very bits in the flags' low nibble; the named flags say the same.
std::uint32_t type_of(const resource& what) {
  if (what.is_io())
    return type_io;
  return static_cast<std::uint32_t>(what.flags & memory_type_bits) |
         ((what.flags & resource::memory_64) != 0 ? type_64 : 0) |
         ((what.flags & resource::prefetch) != 0 ? type_prefetch : 0);
}

base_register lower(const resource& what) {
  const std::uint32_t bits = what.is_io() ? io_type_bits : memory_type_bits;
  if (!usable(what))
    return {0, 0, bits};
  const std::uint32_t type = type_of(what);
  return {static_cast<std::uint32_t>(what.start) | type, static_cast<std::uint32_t>(-what.size()) | type, bits};
}

base_register upper(const resource& what) {
  if (!usable(what))
    return {};
  return {static_cast<std::uint32_t>(what.start >> 32), static_cast<std::uint32_t>(-what.size() >> 32), 0};
}

/// The enable bit reads 0: a guest cannot switch the ROM on, and the low bits of Linux's flags, which the kernel's
/// backend shows here, mean other things.
base_register rom(const resource& what) {
  if (!usable(what))
    return {0, 0, ~reg::rom_address};
  return {static_cast<std::uint32_t>(what.start) & reg::rom_address,
          static_cast<std::uint32_t>(-what.size()) & reg::rom_address, ~reg::rom_address};
}

bool takes_two(const resource& what) { return what.is_memory() && (what.flags & resource::memory_64) != 0; }

} // namespace

std::array<base_register, 7> base_registers(const function& function) {
  std::array<base_register, 7> built;
  const auto& resources = function.resources;
  for (std::size_t i = 0; i < function::rom; ++i) {
    const bool upper_half = i > 0 && takes_two(resources.at(i - 1));
    built.at(i) = upper_half ? upper(resources.at(i - 1)) : lower(resources.at(i));
  }
  built.at(function::rom) = rom(resources.at(function::rom));
  return built;
}

std::uint16_t decode_bits(const function& function) {
  if (function.is_virtual())
    return 0;
  unsigned bits = 0;
  for (std::size_t i = 0; i < function::rom; ++i)
    if (const resource& each = function.resources.at(i); usable(each))
      bits |= each.is_io() ? reg::command_io : reg::command_memory;
  return static_cast<std::uint16_t>(bits);
}

} // namespace pci
