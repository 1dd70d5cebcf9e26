// SPDX-License-Identifier: GPL-2.0-or-later
#include "volatile_bits.hpp"

#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/registers.hpp"

namespace cards {

namespace reg = pci::reg;

std::uint32_t changing_bits(const pci::function& function, std::uint16_t offset) {
  if (offset == reg::command) {
    return 0xf9090000U; // of STATUS: errors, the state of the interrupt, readiness
  }
  // What was read last, and the flag that says that it is there.
  if (const auto vpd = pci::find_capability(function, reg::cap_vpd)) {
    if (offset == *vpd + reg::vpd_data) {
      return 0xffffffffU;
    }
    if (offset == *vpd) {
      return std::uint32_t{reg::vpd_flag} << 16U;
    }
  }
  return 0;
}

bool is_vendors_own(const pci::function& function, std::uint16_t offset) {
  constexpr unsigned vendor_specific = 0x0b, headers = 8;
  for (const unsigned begin : pci::list_extended_capabilities(function)) {
    const auto length = function.copy(begin + 4U, 4) >> 20;
    if ((function.copy(begin, 4) & 0xffff) == vendor_specific && offset >= begin + headers && offset < begin + length) {
      return true;
    }
  }
  return false;
}

} // namespace cards
