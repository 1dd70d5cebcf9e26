// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "pci/config_space/registers.hpp"

/// The rules of COMMAND (spec 4.5), as functions of numbers.
namespace pci::command {

/// What a guest reads from hardware. All else it reads as it wrote it, whatever the hardware does.
inline constexpr std::uint16_t guest_bits = reg::command_master | reg::command_special | reg::command_invalidate |
                                            reg::command_vga_palette | reg::command_wait | reg::command_fast_back;
inline constexpr std::uint16_t decode = reg::command_io | reg::command_memory;

struct rules {
  std::uint16_t decode = 0;       ///< the decode bits that the function's resources need
  bool permissive = false;        ///< all guest bits reach the hardware, not MASTER and INVALIDATE alone
  bool interrupt_control = false; ///< INTX_DISABLE reaches it as well, when the guest turns it over
};

/// Returns what the hardware's register, now `hardware`, becomes when a guest whose shadow is `shadow` writes
/// `written`. Whatever is written: decode is never switched off (XSA-120), PARITY, SERR and the reserved bits stay as
/// they are (XSA-59, XSA-120), and so does INTX_DISABLE, the daemon's bit, unless the rules give it to the guest.
[[nodiscard]] constexpr std::uint16_t hardware_value(std::uint16_t hardware, std::uint16_t shadow,
                                                     std::uint16_t written, const rules& by) {
  unsigned writable = reg::command_master | reg::command_invalidate;
  if (by.permissive)
    writable |= guest_bits;
  if (by.interrupt_control)
    writable |= (shadow ^ written) & reg::command_intx_disable;
  unsigned value = (hardware & ~writable) | (written & writable);
  // Either bit enables the function, which is all of its decoding. Said again when it is already so, for a reset of the
  // function may have lost it.
  if ((written & decode) != 0)
    value |= by.decode;
  return static_cast<std::uint16_t>(value);
}

} // namespace pci::command
