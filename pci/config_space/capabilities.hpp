// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pci/config_space/port.hpp"
#include "pci/function.hpp"

namespace pci {

/// A member of a function's list of capabilities.
struct listed_capability {
  std::uint8_t id = 0;
  std::uint8_t offset = 0; ///< 40..fc, a multiple of 4
  friend bool operator==(const listed_capability&, const listed_capability&) = default;
};

/// Returns the list of capabilities in the reference copy, in its order. The walk is bounded: a list that loops or
/// points into the header ends there, before the offending pointer. Source: PCI 3.0 section 6.7.
[[nodiscard]] std::vector<listed_capability> list_capabilities(const function& function);

/// Returns where the extended capabilities' headers are in the reference copy (100..ffc), each once; bounded likewise,
/// and empty when the copy has 256 bytes. Source: PCI Express Base 5.0 section 7.6.3.
[[nodiscard]] std::vector<std::uint16_t> list_extended_capabilities(const function& function);

/// Returns the offset of the first capability `id` in the reference copy. The walk is bounded: a list that loops,
/// points into the header or leaves the 256 bytes ends there.
[[nodiscard]] std::optional<std::uint8_t> find_capability(const function& function, std::uint8_t id);

/// Where a function's MSI-X structures are, from the reference copy and the host's resources.
/// Source: PCI 3.0 section 6.8.2.
struct msix_capability {
  std::uint8_t offset = 0;      ///< of the capability
  std::uint16_t table_size = 0; ///< entries, 1..2048
  std::uint8_t table_bar = 0;   ///< BAR index
  std::uint64_t table_base = 0; ///< host physical address of that BAR, without the table's offset: Xen's `table_base`
};
/// Empty as well when the capability names a BAR that the host has no memory for, or a table that leaves it.
[[nodiscard]] std::optional<msix_capability> find_msix(const function& function);

/// A function's MSI capability. Source: PCI 3.0 section 6.8.1.
struct msi_capability {
  std::uint8_t offset = 0;
  bool maskable = false;
  bool is_64_bit = false;
};
[[nodiscard]] std::optional<msi_capability> find_msi(const function& function);

} // namespace pci
