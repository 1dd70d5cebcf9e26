// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <vector>

#include "pci/function.hpp"

namespace pci {

/// One register that is treated in a way of its own between two guests. What has none is compared with the reference
/// copy, and written back only when the last guest could write anywhere.
struct saved_register {
  std::uint16_t offset = 0;    ///< absolute
  std::uint8_t width = 0;      ///< 1, 2 or 4; Xen lets some through in this width only
  std::uint32_t restored = 0;  ///< bits that are written back
  std::uint32_t changing = 0;  ///< bits that the hardware, Xen or dom0's kernel changes by itself: not compared
  std::uint32_t zero = 0;      ///< bits that a write must leave 0: they start something, or clear what stands there
  std::uint32_t essential = 0; ///< bits without which no guest can have the function
};

/// All of a function's, from its reference copy, in the order in which they are to be written: power first, sizes of
/// BARs before the BARs, the control registers of MSI and MSI-X late, COMMAND last.
/// `freely`: the last guest could write anywhere, as a permissive one can. What dom0's kernel sets up is then restored
/// as well: a bridge's windows, SR-IOV.
[[nodiscard]] std::vector<saved_register> saved_registers(const function& function, bool freely);

} // namespace pci
