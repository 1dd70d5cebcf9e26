#pragma once

#include <cstdint>

namespace pci {

/// How a field answers a read (spec 4.4).
enum class reading : std::uint8_t {
  hardware, ///< the register
  copy,     ///< the reference copy: the hardware cannot change it
  vendor,   ///< the host's id: a virtual function's own register reads ffff
  device,
  command,         ///< 4.5: guest-controllable bits from hardware, the rest from the shadow
  bar,             ///< 4.6: from the host's resources, or the size mask
  interrupt_line,  ///< low 8 bits of the GSI
  pm_capabilities, ///< PMC without the PME-support bits
};

/// What a field does with a write.
enum class writing : std::uint8_t {
  none,     ///< accepted, nothing written
  hardware, ///< through, within the field's mask
  command,
  status, ///< write-1-to-clear bits only
  bist,
  bar,
  rom,
  vpd_address,
  pmcsr,
  msi_control,
  msix_control,
};

/// One register of the virtual space.
struct field {
  std::uint16_t offset = 0;
  std::uint8_t width = 0; ///< 1, 2 or 4
  reading read = reading::hardware;
  writing write = writing::none;
  std::uint32_t mask = 0xffffffff; ///< quirks: the bits that a write may change
  std::uint8_t index = 0;          ///< BARs: which resource

  [[nodiscard]] constexpr bool overlaps(unsigned first, unsigned size) const {
    return first < static_cast<unsigned>(offset) + width && offset < first + size;
  }
};

} // namespace pci
