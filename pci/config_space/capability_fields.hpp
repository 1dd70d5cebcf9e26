// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>

#include "pci/config_space/field.hpp"
#include "pci/config_space/registers.hpp"

/// The registers of the four capabilities that have rules, line by line as in spec 4.4; offsets from the capability.
namespace pci::capability {

/// Identifier and next pointer.
inline constexpr field header{0, 2, reading::copy, writing::none};

inline constexpr std::array vpd{
    header,
    field{reg::vpd_address, 2, reading::hardware, writing::vpd_address},
    field{reg::vpd_data, 4, reading::hardware, writing::none},
};

inline constexpr std::array pm{
    header,
    field{reg::pmc, 2, reading::pm_capabilities, writing::none},
    field{reg::pmcsr, 2, reading::hardware, writing::pmcsr},
    field{reg::pm_bridge, 1, reading::hardware, writing::none},
    field{reg::pm_data, 1, reading::hardware, writing::none},
};

/// Address, data, mask and pending registers have no field: read from hardware, written only when permissive.
inline constexpr std::array msi{
    header,
    field{reg::message_control, 2, reading::hardware, writing::msi_control},
};

inline constexpr std::array msix{
    header,
    field{reg::message_control, 2, reading::hardware, writing::msix_control},
    // From here on not in the kernel's table: where the structures are, which hardware cannot change.
    field{reg::msix_table, 4, reading::copy, writing::uncovered},
    field{reg::msix_pba, 4, reading::copy, writing::uncovered},
};

} // namespace pci::capability
