// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "pci/config_space/registers.hpp"

/// What becomes of each register of the configuration space between two guests, line by line. Bits that no line names
/// cannot change, or are nobody's but the function's: they are compared, and written back only after a guest that could
/// write anywhere. Sources: PCI 3.0 chapter 6, PCI Power Management 1.2, PCI-X 2.0, PCI Express Base 6.0 section 7.
namespace pci::saved {

/// When a register is written.
enum class order : std::uint8_t { power, bar_sizes, bars, any, messages, command };

/// Who sets it up.
enum class owner : std::uint8_t {
  function, ///< whoever has the function
  kernel,   ///< dom0's kernel, and it may do so at any time: only what a guest could spoil is put back
  physical, ///< of a virtual function: its physical one
};

/// Offsets count from the capability. The masks are saved_register's.
struct rule {
  std::uint16_t offset = 0;
  std::uint8_t width = 0;
  std::uint32_t restored = 0;
  std::uint32_t changing = 0;
  std::uint32_t zero = 0;
  std::uint32_t essential = 0;
  order when = order::any;
  owner whose = owner::function;
  std::uint8_t stride = 0;    ///< not 0: it comes again each so many bytes
  std::uint32_t constant = 0; ///< owner::physical: read-only bits that mean nothing in a virtual function
};

struct capability_rules {
  std::uint16_t id;
  std::span<const rule> rules;
};

inline constexpr std::uint32_t all8 = 0xff, all16 = 0xffff, all32 = 0xffffffff;

// -- the header

inline constexpr std::array header{
    // INTX_DISABLE belongs to the acknowledging handler in dom0's kernel, which sets it whenever there is an interrupt.
    rule{reg::command, 2, all16, reg::command_intx_disable, 0, all16 & ~unsigned{reg::command_intx_disable},
         order::command},
    rule{reg::status, 2, 0, 0xf909, 0xf900}, // errors, the interrupt's state, readiness
    rule{reg::cache_line_size, 1, all8},
    rule{reg::latency_timer, 1, all8},
    rule{reg::bist, 1, 0, 0x4f}, // its start and its outcome
    rule{reg::interrupt_line, 1, all8},
    rule{reg::interrupt_pin, 1, 0, 0, 0, 0, order::any, owner::physical, 0, all8},
};

inline constexpr rule bar(std::uint16_t offset) {
  return {offset, 4, all32, 0, 0, all32, order::bars, owner::physical};
}
inline constexpr std::array type0{
    bar(0x10),
    bar(0x14),
    bar(0x18),
    bar(0x1c),
    bar(0x20),
    bar(0x24),
    rule{reg::rom_type0, 4, all32, 0, 0, 0, order::bars, owner::physical},
};

inline constexpr rule windows(std::uint16_t offset, std::uint8_t width) {
  return {offset, width, width == 4 ? all32 : all16, 0, 0, 0, order::any, owner::kernel};
}
inline constexpr std::array type1{
    bar(0x10),
    bar(0x14),
    rule{reg::rom_type1, 4, all32, 0, 0, 0, order::bars, owner::physical},
    windows(0x18, 4), // bus numbers, secondary latency timer
    windows(0x1c, 2),
    rule{0x1e, 2, 0, all16, all16}, // secondary status
    windows(0x20, 4),
    windows(0x24, 4),
    windows(0x28, 4),
    windows(0x2c, 4),
    windows(0x30, 4),
    // Bridge control, with the reset of the bus below and the state of the discard timer.
    rule{0x3e, 2, 0x0bbf, 0x0440, 0x0440},
};

// -- capabilities

inline constexpr std::array pm{
    // PME_Status is cleared by 1; Data_Scale, and Data below, follow Data_Select.
    rule{reg::pmcsr, 2, 0x1f03, 0xe000, 0x8000, reg::pmcsr_state, order::power},
    rule{reg::pm_data, 1, 0, all8},
};
inline constexpr std::array vpd{
    // The flag starts a transfer, and turns over when it has ended.
    rule{reg::vpd_address, 2, 0x7fff, reg::vpd_flag, reg::vpd_flag},
    rule{reg::vpd_data, 4, 0, all32},
};
inline constexpr std::array msi{
    rule{reg::message_control, 2, 0x0271, 0, 0, reg::msi_enable, order::messages},
    rule{4, 4, all32},
};
inline constexpr std::array msix{
    rule{reg::message_control, 2, reg::msix_enable | reg::msix_mask_all, 0, 0, reg::msix_enable | reg::msix_mask_all,
         order::messages},
};
inline constexpr std::array pcix{
    rule{2, 2, all16},
    rule{4, 4, 0, all32},
};
inline constexpr std::array af{
    rule{4, 1, 0, 0, 0x01}, // initiates a reset
    rule{5, 1, 0, all8},
};
inline constexpr std::array hyper_transport{
    rule{4, 4, 0, all32},
    rule{8, 4, 0, all32},
};
inline constexpr std::array slot{rule{2, 2, 0, all16}};
inline constexpr std::array sata{
    // index and data
    rule{8, 4, 0, all32},
    rule{12, 4, 0, all32},
};

inline constexpr std::uint16_t express_version = 0x0f;
inline constexpr unsigned end_of_express_1 = 0x14; ///< in version 1 the next capability may stand there
inline constexpr std::array express{
    // Bit 15 initiates a reset. Payload and request sizes must fit the other functions of the fabric.
    rule{0x08, 2, 0x7fff, 0, 0x8000, 0x70e0},
    rule{0x0a, 2, 0, all16, 0x000f},
    rule{0x10, 2, 0xffdf, 0, 0x0020}, // bit 5 retrains the link
    rule{0x12, 2, 0, all16, all16},
    rule{0x18, 2, all16},
    rule{0x1a, 2, 0, all16, all16},
    rule{0x1c, 2, all16},
    rule{0x20, 4, 0, all32, all32},
    rule{0x28, 2, all16},
    rule{0x2a, 2, 0, all16},
    rule{0x30, 2, all16},
    rule{0x32, 2, 0, all16, all16},
    rule{0x38, 2, all16},
    rule{0x3a, 2, 0, all16},
};

inline constexpr std::array capabilities{
    capability_rules{reg::cap_pm, pm},
    capability_rules{reg::cap_vpd, vpd},
    capability_rules{0x04, slot},
    capability_rules{0x07, pcix},
    capability_rules{0x08, hyper_transport},
    capability_rules{reg::cap_express, express},
    capability_rules{reg::cap_msix, msix},
    capability_rules{0x12, sata},
    capability_rules{0x13, af},
};

// -- extended capabilities

inline constexpr std::uint16_t ext_vc = 0x02, ext_vc_mfvc = 0x09, ext_rebar = 0x15;
inline constexpr unsigned most_lanes = 32;

inline constexpr std::array aer{
    rule{0x04, 4, 0, all32, all32}, rule{0x08, 4, all32},
    rule{0x0c, 4, all32},           rule{0x10, 4, 0, all32, all32},
    rule{0x14, 4, all32},           rule{0x18, 4, 0x0540, 0xf81f}, // where the first error is, and what is logged of it
    rule{0x1c, 4, 0, all32},        rule{0x20, 4, 0, all32},
    rule{0x24, 4, 0, all32},        rule{0x28, 4, 0, all32},
    rule{0x2c, 4, 0x0007},          rule{0x30, 4, 0, all32, all32},
    rule{0x34, 4, 0, all32},        rule{0x38, 4, 0, all32},
    rule{0x3c, 4, 0, all32},        rule{0x40, 4, 0, all32},
    rule{0x44, 4, 0, all32},
};
inline constexpr std::array vc{
    rule{0x0c, 2, 0x000e, 0, 0x0001}, // bit 0 loads the arbitration table
    rule{0x0e, 2, 0, all16},
    rule{0x14, 4, 0x870e00ff, 0, 0x00010000, 0, order::any, owner::function, 12},
    rule{0x1a, 2, 0, all16, 0, 0, order::any, owner::function, 12},
};
inline constexpr std::array power_budget{
    rule{4, 1, all8},
    rule{8, 4, 0, all32},
};
inline constexpr std::array control_at_6{rule{6, 2, all16}}; // ARI, PASID, multicast
inline constexpr std::array acs{
    rule{6, 2, all16},
    rule{8, 4, all32},
};
inline constexpr std::array ats{rule{6, 2, all16, 0x8000}}; // Xen enables it, when it gives the function to a domain
inline constexpr std::array sriov{
    rule{0x08, 2, 0x003f, 0, 0, 0, order::any, owner::kernel},
    rule{0x0a, 2, 0, all16},
    rule{0x10, 2, all16, 0, 0, 0, order::any, owner::kernel}, // NumVFs
    rule{0x14, 4, 0, all32},
    rule{0x20, 4, all32, 0, 0, 0, order::any, owner::kernel}, // page size, then the BARs
    rule{0x24, 4, all32, 0, 0, 0, order::any, owner::kernel},
    rule{0x28, 4, all32, 0, 0, 0, order::any, owner::kernel},
    rule{0x2c, 4, all32, 0, 0, 0, order::any, owner::kernel},
    rule{0x30, 4, all32, 0, 0, 0, order::any, owner::kernel},
    rule{0x34, 4, all32, 0, 0, 0, order::any, owner::kernel},
    rule{0x38, 4, all32, 0, 0, 0, order::any, owner::kernel},
};
inline constexpr std::array multicast{
    rule{0x06, 2, all16}, rule{0x08, 4, all32}, rule{0x0c, 4, all32}, rule{0x10, 4, all32},
    rule{0x14, 4, all32}, rule{0x18, 4, all32}, rule{0x1c, 4, all32}, rule{0x20, 4, all32},
    rule{0x24, 4, all32}, rule{0x28, 4, all32}, rule{0x2c, 4, all32},
};
inline constexpr std::array pri{
    rule{0x04, 2, 0x0001, 0, 0x0002}, // bit 1 resets the interface
    rule{0x06, 2, 0, all16, 0x0003},
    rule{0x0c, 4, all32},
};
inline constexpr std::array rebar{
    rule{8, 4, 0x00003f00, 0, 0, 0x00003f00, order::bar_sizes, owner::function, 8},
};
inline constexpr std::array dpa{
    rule{0x0c, 2, 0, all16, 0x0100},
    rule{0x0e, 2, 0x001f},
};
inline constexpr std::array tph{rule{8, 4, 0x00000307}};
inline constexpr std::array ltr{
    rule{4, 2, all16},
    rule{6, 2, all16},
};
inline constexpr std::array secondary_express{
    rule{4, 4, 0x0000fe02, 0, 0x0001}, // bit 0 begins an equalization
    rule{8, 4, 0, all32, all32},
};
inline constexpr std::array dpc{
    rule{0x06, 2, 0x01bf, 0, 0x0040}, // bit 6 triggers it
    rule{0x08, 2, 0, all16, all16},
    rule{0x0a, 2, 0, all16},
    rule{0x0c, 4, 0, all32, all32},
    rule{0x10, 4, all32},
    rule{0x14, 4, all32},
    rule{0x18, 4, all32},
    rule{0x1c, 4, all32},
    rule{0x20, 4, 0, all32},
    rule{0x24, 4, 0, all32},
    rule{0x28, 4, 0, all32},
    rule{0x2c, 4, 0, all32},
};
inline constexpr std::array l1_pm{
    rule{0x0c, 4, 0x000000ff}, // before the register that enables what it times
    rule{0x08, 4, 0xe3ffff1f},
    rule{0x10, 4, 0, all32, all32},
};
inline constexpr std::array ptm{rule{8, 4, 0x0000ff03}};
inline constexpr std::array data_link{
    rule{4, 4, 0x80000000},
    rule{8, 4, 0, all32},
};
inline constexpr std::array physical_16{
    rule{8, 4, all32},
    rule{0x0c, 4, 0, all32, all32},
    rule{0x10, 4, 0, all32, all32},
    rule{0x14, 4, 0, all32, all32},
    rule{0x18, 4, 0, all32, all32},
};
inline constexpr std::array lane_margining{
    rule{4, 4, 0, all32},
    rule{8, 4, 0, all32, 0, 0, order::any, owner::function, 4},
};
inline constexpr std::array physical_32{
    rule{8, 4, all32},
    rule{0x0c, 4, 0, all32, all32},
    rule{0x10, 4, 0, all32},
    rule{0x14, 4, 0, all32},
};
inline constexpr std::array doe{
    // Bit 0 aborts, bit 31 begins. The mailboxes are not touched: each access moves on.
    rule{0x08, 4, 0x00000002, 0, 0x80000001},
    rule{0x0c, 4, 0, all32, all32},
    rule{0x10, 4, 0, all32},
    rule{0x14, 4, 0, all32},
};
inline constexpr std::array device_3{
    rule{8, 4, all32},
    rule{0x0c, 4, 0, all32, all32},
};

inline constexpr std::array extended{
    capability_rules{0x01, aer},
    capability_rules{ext_vc, vc},
    capability_rules{0x04, power_budget},
    capability_rules{ext_vc_mfvc, vc},
    capability_rules{0x0d, acs},
    capability_rules{0x0e, control_at_6},
    capability_rules{0x0f, ats},
    capability_rules{0x10, sriov},
    capability_rules{0x12, multicast},
    capability_rules{0x13, pri},
    capability_rules{ext_rebar, rebar},
    capability_rules{0x16, dpa},
    capability_rules{0x17, tph},
    capability_rules{0x18, ltr},
    capability_rules{0x19, secondary_express},
    capability_rules{0x1b, control_at_6},
    capability_rules{0x1d, dpc},
    capability_rules{0x1e, l1_pm},
    capability_rules{0x1f, ptm},
    capability_rules{0x25, data_link},
    capability_rules{0x26, physical_16},
    capability_rules{0x27, lane_margining},
    capability_rules{0x2a, physical_32},
    capability_rules{0x2e, doe},
    capability_rules{0x2f, device_3},
};

} // namespace pci::saved
