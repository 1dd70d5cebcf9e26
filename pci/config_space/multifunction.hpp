// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "pci/config_space/registers.hpp"

namespace pci {

/// A good read of a guest's, with the header's multi-function bit as the virtual topology has it: the hardware's says
/// what is in the host's slot. A guest looks at the other functions of a slot only where function 0 has it set. All
/// ones stay so: there is no header. Source: PCI 3.0 section 6.2.1.
[[nodiscard]] constexpr std::uint32_t with_multifunction(std::uint32_t value, std::int32_t offset, std::int32_t size,
                                                         bool multifunction) {
  const std::int32_t at = reg::header_type;
  if (at < offset || at >= offset + size)
    return value;
  const auto shift = 8U * static_cast<unsigned>(at - offset);
  if ((value >> shift & 0xff) == 0xff)
    return value;
  const auto bit = std::uint32_t{reg::multifunction} << shift;
  return multifunction ? value | bit : value & ~bit;
}

} // namespace pci
