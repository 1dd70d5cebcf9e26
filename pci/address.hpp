// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pci/result.hpp"

namespace pci {

/// The address of a PCI function: segment, bus, device (slot) and function.
/// Source: PCI Local Bus 3.0, section 3.2.2.3; the segment is ACPI's _SEG.
struct sbdf {
  std::uint16_t segment = 0;
  std::uint8_t bus = 0;
  std::uint8_t devfn = 0; ///< slot << 3 | function

  [[nodiscard]] constexpr std::uint8_t slot() const { return static_cast<std::uint8_t>(devfn >> 3); }
  [[nodiscard]] constexpr std::uint8_t function() const { return devfn & 7U; }
  /// Xen's machine_sbdf: segment << 16 | bus << 8 | devfn.
  [[nodiscard]] constexpr std::uint32_t machine() const {
    return static_cast<std::uint32_t>(segment) << 16 | static_cast<std::uint32_t>(bus) << 8 | devfn;
  }

  friend constexpr auto operator<=>(const sbdf&, const sbdf&) = default;
};

[[nodiscard]] constexpr sbdf make_sbdf(std::uint16_t segment, std::uint8_t bus, std::uint8_t slot,
                                       std::uint8_t function) {
  return {segment, bus, static_cast<std::uint8_t>(static_cast<unsigned>(slot) << 3 | (function & 7U))};
}

/// "0000:03:00.0": sysfs, libxl's dev-N, everything that a person reads.
[[nodiscard]] std::string to_string(const sbdf& address);

/// "0000:03:00.00": the backend's vdev-N, whose function has two digits (spec 7.2).
[[nodiscard]] std::string to_vdev_string(const sbdf& address);

/// "0000-03-00-0": the directory of the function in /libxl/pci.
[[nodiscard]] std::string to_libxl_string(const sbdf& address);

/// Reads "DDDD:BB:SS.F" or "BB:SS.F", hexadecimal, surrounding white space allowed (spec 6.3).
/// The failure (EINVAL) quotes the text and says what is expected.
[[nodiscard]] result<sbdf> parse_sbdf(std::string_view text);

/// An address as `parse_sbdf` reads them, but in a segment above ffff, such as Linux gives to what is behind an Intel
/// VMD: "10000:e1:00.0". Xen has no number for it.
[[nodiscard]] bool is_beyond_xen(std::string_view text);

/// Reads vdev-N and dev-N as a frontend does ("%x:%x:%x.%x"), ranges checked.
[[nodiscard]] result<sbdf> parse_node_sbdf(std::string_view text);

/// An address whose slot or function may be a wildcard: "BB:SS.*", "BB:*.*" (spec 6.3).
struct sbdf_pattern {
  std::uint16_t segment = 0;
  std::uint8_t bus = 0;
  std::optional<std::uint8_t> slot;     ///< empty: all 32
  std::optional<std::uint8_t> function; ///< empty: all 8; always empty when `slot` is

  [[nodiscard]] bool matches(const sbdf& address) const;
  friend bool operator==(const sbdf_pattern&, const sbdf_pattern&) = default;
};

/// Reads one pattern: the grammar of pciback's new_slot and remove_slot.
[[nodiscard]] result<sbdf_pattern> parse_pattern(std::string_view text);

/// Reads the grammar of xen-pciback.hide=: parenthesised patterns back to back. The failure shows the rest of the text.
[[nodiscard]] result<std::vector<sbdf_pattern>> parse_hide_list(std::string_view text);

} // namespace pci

template <>
struct std::hash<pci::sbdf> {
  std::size_t operator()(const pci::sbdf& address) const noexcept { return address.machine(); }
};
