// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>

#include "pci/config_space/field.hpp"
#include "pci/config_space/registers.hpp"

/// The registers of the header, line by line as in spec 4.4. Below them, set apart, stand those that the kernel's
/// backend reads from hardware and that hardware cannot change: here they are answered from the reference copy, and for
/// writes they do not exist.
namespace pci::header {

[[nodiscard]] constexpr field base_address(std::uint16_t offset, std::uint8_t index) {
  return {offset, 4, reading::bar, writing::bar, 0xffffffff, index};
}

[[nodiscard]] constexpr field rom(std::uint16_t offset) {
  return {offset, 4, reading::bar, writing::rom, 0xffffffff, 6};
}

[[nodiscard]] constexpr field constant(std::uint16_t offset, std::uint8_t width) {
  return {offset, width, reading::copy, writing::uncovered};
}

/// Header types 0 and 1.
inline constexpr std::array common{
    field{reg::vendor_id, 2, reading::vendor, writing::none}, field{reg::device_id, 2, reading::device, writing::none},
    field{reg::command, 2, reading::command, writing::command},
    field{reg::cache_line_size, 1, reading::hardware, writing::hardware},
    field{reg::latency_timer, 1, reading::hardware, writing::none},
    field{reg::bist, 1, reading::hardware, writing::bist},
    field{reg::interrupt_line, 1, reading::interrupt_line, writing::none},
    field{reg::interrupt_pin, 1, reading::copy, writing::none},

    // Not in the kernel's table, so that there a guest's error bits stay set for ever (spec 12.1, 8).
    field{reg::status, 2, reading::hardware, writing::status}, constant(reg::class_revision, 4),
    constant(reg::header_type, 1), constant(reg::capabilities, 4), // the pointer and three reserved bytes
};

inline constexpr std::array type0{
    base_address(0x10, 0),         base_address(0x14, 1),       base_address(0x18, 2), base_address(0x1c, 3),
    base_address(0x20, 4),         base_address(0x24, 5),       rom(reg::rom_type0),

    constant(reg::cardbus_cis, 4), constant(reg::subsystem, 4), // vendor and device
    constant(reg::min_grant, 2),                                // and MAX_LAT
};

/// No bus numbers, windows or bridge control: read from hardware, written only when permissive.
inline constexpr std::array type1{
    base_address(0x10, 0),
    base_address(0x14, 1),
    rom(reg::rom_type1),
};

} // namespace pci::header
