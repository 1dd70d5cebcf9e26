// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/function.hpp"

#include "pci/config_space/field.hpp"
#include "pci/config_space/registers.hpp"

namespace pci {

std::uint32_t function::copy(std::size_t offset, unsigned width) const {
  // In this order: offset + width may wrap.
  if (offset > config.size() || width > config.size() - offset)
    return all_bits(width);
  std::uint32_t value = 0;
  for (unsigned i = 0; i < width; ++i)
    value |= std::to_integer<std::uint32_t>(config[offset + i]) << (8 * i);
  return value;
}

unsigned function::header_layout() const { return copy(reg::header_type, 1) & reg::header_layout; }

} // namespace pci
