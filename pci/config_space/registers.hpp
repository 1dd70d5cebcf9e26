// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

/// Registers and bits of the configuration space, with the names of the PCI Local Bus 3.0 and PCI Express Base 5.0
/// specifications.
namespace pci::reg {

// Common header, PCI 3.0 section 6.1.
inline constexpr std::uint16_t vendor_id = 0x00, device_id = 0x02, command = 0x04, status = 0x06;
inline constexpr std::uint16_t class_revision = 0x08, cache_line_size = 0x0c, latency_timer = 0x0d;
inline constexpr std::uint16_t header_type = 0x0e, bist = 0x0f, bar0 = 0x10;
inline constexpr std::uint16_t rom_type0 = 0x30, rom_type1 = 0x38, capabilities = 0x34;
inline constexpr std::uint16_t cardbus_cis = 0x28, subsystem = 0x2c, min_grant = 0x3e;
inline constexpr std::uint16_t interrupt_line = 0x3c, interrupt_pin = 0x3d;
inline constexpr std::uint8_t header_layout = 0x7f, multifunction = 0x80; ///< of HEADER_TYPE
inline constexpr std::uint8_t bist_start = 0x40;
inline constexpr std::uint16_t first_capability = 0x40;  ///< the header ends here
inline constexpr std::uint32_t rom_address = 0xfffff800; ///< of the ROM's base register, section 6.2.5.2
inline constexpr std::uint16_t extended = 0x100;         ///< first byte of the extended space
inline constexpr std::uint16_t space_end = 0x1000;

// COMMAND, section 6.2.2.
inline constexpr std::uint16_t command_io = 0x001, command_memory = 0x002, command_master = 0x004;
inline constexpr std::uint16_t command_special = 0x008, command_invalidate = 0x010, command_vga_palette = 0x020;
inline constexpr std::uint16_t command_wait = 0x080;
inline constexpr std::uint16_t command_fast_back = 0x200, command_intx_disable = 0x400;

// STATUS, section 6.2.3.
inline constexpr std::uint16_t status_interrupt = 0x008, status_capabilities = 0x010;
inline constexpr std::uint16_t status_rw1c = 0xf900; ///< the error bits, cleared by writing 1

// Capability identifiers, appendix H, and their registers relative to the capability.
inline constexpr std::uint8_t cap_pm = 0x01, cap_vpd = 0x03, cap_msi = 0x05, cap_express = 0x10, cap_msix = 0x11;
inline constexpr std::uint16_t message_control = 2;
inline constexpr std::uint16_t msi_enable = 0x0001, msi_64 = 0x0080, msi_maskable = 0x0100;
inline constexpr std::uint16_t msix_enable = 0x8000, msix_mask_all = 0x4000, msix_table_size = 0x07ff;
inline constexpr std::uint16_t msix_table = 4, msix_pba = 8;
inline constexpr std::uint32_t msix_bir = 0x7; ///< of the table's and the PBA's register: which BAR
inline constexpr std::uint16_t vpd_address = 2, vpd_data = 4, vpd_flag = 0x8000;
inline constexpr std::uint16_t pmc = 2, pmcsr = 4, pm_bridge = 6, pm_data = 7;
inline constexpr std::uint16_t pmc_d1 = 0x0200, pmc_d2 = 0x0400, pmc_pme_support = 0xf800;
inline constexpr std::uint16_t pmcsr_state = 0x0003, pmcsr_pme_enable = 0x0100, pmcsr_data_select = 0x1e00;
inline constexpr std::uint16_t pmcsr_pme_status = 0x8000;

} // namespace pci::reg
