// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>

#include "pci/config_space/field.hpp"
#include "pci/function.hpp"

namespace pci {

/// True when the host has given the resource an address that a guest can be shown (spec 4.6) and given. A ROM that the
/// firmware left alone has none, and no flag that says so; nor has libxl a guest given what begins at 0.
[[nodiscard]] constexpr bool usable(const resource& what) {
  constexpr std::uint64_t unusable = resource::disabled | resource::unset | resource::busy;
  return what.size() != 0 && what.start != 0 && (what.flags & unusable) == 0;
}

/// True when the BAR's register does not say where the resource is, and cannot be told: Enhanced Allocation, legacy IDE
/// (IORESOURCE_PCI_FIXED).
[[nodiscard]] constexpr bool is_fixed(const resource& what) {
  constexpr std::uint64_t fixed = 0x10;
  return (what.flags & fixed) != 0;
}

/// What a guest sees in one BAR or in the ROM's base register: host addresses, which never move (spec 4.6).
/// The default is a register that is not implemented.
struct base_register {
  std::uint32_t value = 0;
  std::uint32_t size_mask = 0; ///< the answer after the guest has written all ones
  std::uint32_t type_bits = 0; ///< the bits that are no part of the address; a sizing write need not set them

  [[nodiscard]] constexpr bool is_sizing(std::uint32_t written) const { return (written | type_bits) == 0xffffffff; }
};

/// Builds BARs 0..5 and, last, the ROM's register from the host's resources.
[[nodiscard]] std::array<base_register, 7> base_registers(const function& function);

/// The decode bits of COMMAND that the function's BARs need: what "enabled" means for it. None for a virtual function,
/// whose decode its physical function controls.
[[nodiscard]] std::uint16_t decode_bits(const function& function);

} // namespace pci
