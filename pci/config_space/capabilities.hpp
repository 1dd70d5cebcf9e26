#pragma once

#include <cstdint>
#include <optional>

#include "pci/config_space/port.hpp"
#include "pci/function.hpp"

namespace pci {

/// Returns the offset of the first capability `id` in the reference copy. The walk is bounded: a list that loops,
/// points into the header or leaves the 256 bytes ends there.
[[nodiscard]] std::optional<std::uint8_t> find_capability(const function& function, std::uint8_t id);

/// The same walk over the hardware itself.
[[nodiscard]] result<std::optional<std::uint8_t>> find_capability(config_port& port, std::uint8_t id);

/// Where a function's MSI-X structures are, from the reference copy and the host's resources.
/// Source: PCI 3.0 section 6.8.2.
struct msix_capability {
  std::uint8_t offset = 0;      ///< of the capability
  std::uint16_t table_size = 0; ///< entries, 1..2048
  std::uint8_t table_bar = 0;   ///< BAR index
  std::uint64_t table_base = 0; ///< host physical address of that BAR, without the table's offset: Xen's `table_base`
};
[[nodiscard]] std::optional<msix_capability> find_msix(const function& function);

/// A function's MSI capability. Source: PCI 3.0 section 6.8.1.
struct msi_capability {
  std::uint8_t offset = 0;
  bool maskable = false;
  bool is_64_bit = false;
};
[[nodiscard]] std::optional<msi_capability> find_msi(const function& function);

} // namespace pci
