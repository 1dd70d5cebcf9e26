// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "pci/address.hpp"

/// What the firmware says of functions that reach memory of its own by DMA: the Reserved Memory Region Reporting
/// structures (RMRR) of ACPI's DMAR table. Xen gives none to a guest while another shares its region, or only when it
/// is asked to be relaxed.
/// Source: Intel Virtualization Technology for Directed I/O 4.0, sections 8.1, 8.3 and 8.4.
namespace pci {

/// How dom0 may find the table called. Xen takes the remapping hardware for itself, and turns the signature round so
/// that dom0 does not know the table, with the sum of its bytes as it was (Xen, drivers/passthrough/vtd/dmar.c,
/// acpi_dmar_zap).
inline constexpr std::array<std::string_view, 2> dmar_names{"DMAR", "RMAD"};

struct reserved_region {
  std::uint64_t first = 0; ///< bytes
  std::uint64_t last = 0;
  std::vector<sbdf> functions; ///< that use it
};

/// The number of the bus behind a bridge; empty: nobody can say.
using bus_behind = std::function<std::optional<std::uint8_t>(const sbdf& bridge)>;

/// Reads a whole table, its header included. What is malformed ends it: what was read before counts. A function whose
/// bridges cannot be followed is left out.
[[nodiscard]] std::vector<reserved_region> read_reserved_regions(std::span<const std::byte> table,
                                                                 const bus_behind& behind);

} // namespace pci
