// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "pci/config_space/registers.hpp"

/// The rules of the power management control and status register (spec 4.7), as functions of numbers.
/// Source: PCI Power Management 1.2, section 3.2.4.
namespace pci::power {

/// True when a function with the capabilities `pmc` can be sent from state `from` to `to` (0..3: D0..D3hot): the
/// optional states only if it has them, and out of a deeper state only to D0.
[[nodiscard]] constexpr bool reachable(unsigned from, unsigned to, std::uint16_t pmc) {
  const bool exists = to == 0 || to == 3 || (pmc & (to == 1 ? reg::pmc_d1 : reg::pmc_d2)) != 0;
  return exists && (to == 0 || to >= from);
}

/// What the hardware's register, now `hardware`, becomes when a guest writes `written`: the state as asked for if it is
/// reachable, Data_Select as written, PME_En off, and a 1 in PME_Status, which clears it, only if the guest wrote
/// that 1.
[[nodiscard]] constexpr std::uint16_t hardware_value(std::uint16_t hardware, std::uint16_t written, bool move) {
  constexpr unsigned kept =
      0xffffU & ~unsigned(reg::pmcsr_state | reg::pmcsr_pme_enable | reg::pmcsr_data_select | reg::pmcsr_pme_status);
  const unsigned state = (move ? written : hardware) & reg::pmcsr_state;
  return static_cast<std::uint16_t>((hardware & kept) | state | (written & reg::pmcsr_data_select) |
                                    (written & hardware & reg::pmcsr_pme_status));
}

/// Whether writing `next` over `hardware` does anything: the bits differ, or PME_Status is cleared.
[[nodiscard]] constexpr bool changes(std::uint16_t hardware, std::uint16_t next) {
  constexpr unsigned plain = 0xffffU & ~unsigned{reg::pmcsr_pme_status};
  return ((hardware ^ next) & plain) != 0 || (next & reg::pmcsr_pme_status) != 0;
}

/// What is written into the register of a function, now `hardware`, to send it into D3hot: PME_En off, and a
/// PME_Status that is set stays set.
[[nodiscard]] constexpr std::uint16_t asleep(std::uint16_t hardware) {
  constexpr unsigned kept = 0xffffU & ~unsigned(reg::pmcsr_pme_enable | reg::pmcsr_pme_status);
  return static_cast<std::uint16_t>((hardware & kept) | reg::pmcsr_state);
}

} // namespace pci::power
