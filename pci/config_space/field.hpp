// SPDX-License-Identifier: GPL-2.0-or-later
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
  none,      ///< accepted, nothing written
  uncovered, ///< as though no field were there: dropped, or raw when permissive (the field is for reads only)
  hardware,  ///< through, within the field's mask
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

/// All the bits of a register of `width` bytes: 1, 2 or 4.
[[nodiscard]] constexpr std::uint32_t all_bits(unsigned width) {
  return width >= 4 ? 0xffffffffU : (1U << (8 * width)) - 1;
}

/// A register's value as it lies in an access that begins elsewhere: what was at byte `from` is then seen from byte
/// `to`. The two are less than 4 apart. Bytes before `to`, or 4 and more behind it, fall off.
[[nodiscard]] constexpr std::uint32_t seen_from(std::uint32_t value, unsigned from, unsigned to) {
  return from >= to ? value << (8 * (from - to)) : value >> (8 * (to - from));
}

/// One register of the virtual space.
struct field {
  std::uint16_t offset = 0;
  std::uint8_t width = 0; ///< 1, 2 or 4
  reading read = reading::hardware;
  writing write = writing::none;
  std::uint32_t mask = 0xffffffff; ///< quirks: the bits that a write may change
  std::uint8_t index = 0;          ///< BARs: which resource
  std::uint32_t value = 0;         ///< the answer of a field whose reading depends on nothing but the function

  [[nodiscard]] constexpr bool overlaps(unsigned first, unsigned size) const {
    return first < static_cast<unsigned>(offset) + width && offset < first + size;
  }
};

/// A well-formed access: 1, 2 or 4 bytes at an aligned offset within the space. A field is the same shape, and so of
/// two that overlap one always holds the other whole.
struct register_span {
  std::uint16_t first = 0;
  std::uint8_t width = 0;

  [[nodiscard]] constexpr std::uint32_t bits() const { return all_bits(width); }
  [[nodiscard]] constexpr bool covers(const field& other) const {
    return first <= other.offset && other.offset + other.width <= first + width;
  }
};

} // namespace pci
