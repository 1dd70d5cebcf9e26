// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "pci/config_space/decoder.hpp"
#include "pci/config_space/registers.hpp"

namespace pci::decoding {
namespace {

void decode_power(decoder& to, unsigned at) {
  const auto pmc = to.word(at + reg::pmc, 2), state = to.word(at + reg::pmcsr, 2);
  to.add(
      at + reg::pmc, 2, "Flags",
      fmt::format("version {} {} PME({})", pmc & 7U,
                  flags(pmc, {{0x0008, "PMEClk"}, {0x0020, "DSI"}, {reg::pmc_d1, "D1"}, {reg::pmc_d2, "D2"}}),
                  flags(pmc, {{0x0800, "D0"}, {0x1000, "D1"}, {0x2000, "D2"}, {0x4000, "D3hot"}, {0x8000, "D3cold"}})));
  to.add(at + reg::pmcsr, 2, "Status",
         fmt::format("D{} {} DSel={} DScale={} {}", state & reg::pmcsr_state,
                     flags(state, {{0x0008, "NoSoftRst"}, {reg::pmcsr_pme_enable, "PME-Enable"}}), state >> 9U & 0xfU,
                     state >> 13U & 3U, flags(state, {{reg::pmcsr_pme_status, "PME"}})));
}

void decode_msi(decoder& to, unsigned at) {
  const auto control = to.word(at + reg::message_control, 2);
  const auto shape = to.layout(at + reg::message_control, 2);
  const bool is_64 = (shape & reg::msi_64) != 0;
  to.add(at + reg::message_control, 2, "Control",
         fmt::format("{} Count={}/{} {}", flags(control, {{reg::msi_enable, "Enable"}}), 1U << (control >> 4U & 7U),
                     1U << (control >> 1U & 7U),
                     flags(control, {{reg::msi_maskable, "Maskable"}, {reg::msi_64, "64bit"}})));
  to.add_number(at + 4, is_64 ? 8 : 4, "Address");
  const auto data = at + (is_64 ? 12U : 8U);
  to.add_number(data, 2, "Data");
  if ((shape & reg::msi_maskable) != 0) {
    to.add_number(data + 4, 4, "Masking");
    to.add_number(data + 8, 4, "Pending");
  }
}

void decode_msix(decoder& to, unsigned at) {
  const auto control = to.word(at + reg::message_control, 2);
  to.add(at + reg::message_control, 2, "Control",
         fmt::format("{} Count={} {}", flags(control, {{reg::msix_enable, "Enable"}}),
                     (control & reg::msix_table_size) + 1U, flags(control, {{reg::msix_mask_all, "Masked"}})));
  const auto place = [&](unsigned offset) {
    const auto value = to.word(offset, 4);
    return fmt::format("BAR={} offset={:08x}", value & reg::msix_bir, value & ~reg::msix_bir);
  };
  to.add(at + reg::msix_table, 4, "Vector table", place(at + reg::msix_table));
  to.add(at + reg::msix_pba, 4, "PBA", place(at + reg::msix_pba));
}

void decode_vpd(decoder& to, unsigned at) {
  const auto address = to.word(at + reg::vpd_address, 2);
  to.add(at + reg::vpd_address, 2, "Address",
         fmt::format("{:04x} {}", address & ~std::uint32_t{reg::vpd_flag}, flags(address, {{reg::vpd_flag, "Flag"}})));
  to.add_number(at + reg::vpd_data, 4, "Data");
}

void decode_advanced_features(decoder& to, unsigned at) {
  to.add(at + 3, 1, "Capabilities", flags(to.word(at + 3, 1), {{0x1, "TransPend"}, {0x2, "FLReset"}}));
  to.add(at + 4, 1, "Control", flags(to.word(at + 4, 1), {{0x1, "FLReset"}}));
  to.add(at + 5, 1, "Status", flags(to.word(at + 5, 1), {{0x1, "TransPend"}}));
}

} // namespace

void decode_capability(decoder& to, unsigned id, unsigned at) {
  switch (id) {
  case reg::cap_pm:
    return decode_power(to, at);
  case reg::cap_vpd:
    return decode_vpd(to, at);
  case reg::cap_msi:
    return decode_msi(to, at);
  case reg::cap_express:
    return decode_express(to, at);
  case reg::cap_msix:
    return decode_msix(to, at);
  case 0x13:
    return decode_advanced_features(to, at);
  case 0x0d:
    return to.add(at + 4, 4, "Subsystem", fmt::format("{:04x}:{:04x}", to.word(at + 4, 2), to.word(at + 6, 2)));
  case 0x09:
    return to.add(at + 2, 1, "Length", fmt::format("{} bytes", to.word(at + 2, 1)));
  default:
    return;
  }
}

} // namespace pci::decoding
