// SPDX-License-Identifier: GPL-2.0-or-later
// What each kind of field does with a guest's write (spec 4.4 to 4.8).

#include "pci/config_space/answered.hpp"
#include "pci/config_space/command.hpp"
#include "pci/config_space/power.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/space.hpp"
#include "pci/config_space/wire_error.hpp"

namespace pci {
namespace {

/// What a 16-bit register reads as when the function does not answer. None of those below can have this value, and a
/// value made from it would set every bit that is to be preserved.
constexpr std::uint32_t nobody = 0xffff;

/// Clears the error bits in which the guest wrote 1, in the bytes that it wrote: the rest is written as 0, which does
/// nothing. A write that begins in COMMAND is meant for COMMAND: frontends that have 32-bit accesses only (NetBSD)
/// write back with it the STATUS that they read, and would clear what nobody has looked at.
op_error write_status(config_port& port, const field& what, register_span where, std::uint32_t value) {
  const std::uint32_t cleared = seen_from(value, where.first, what.offset) & reg::status_rw1c;
  if (where.first < what.offset || cleared == 0)
    return op_error::success;
  return wire_error(port.write(what.offset, what.width, cleared));
}

/// The start bit alone, or nothing that changes another bit.
op_error write_bist(config_port& port, const field& what, std::uint32_t merged) {
  const auto now = port.read(what.offset, what.width);
  if (!now)
    return wire_error(now.error());
  constexpr std::uint32_t others = 0xffU & ~unsigned{reg::bist_start};
  const bool other_change = ((*now ^ merged) & others) != 0;
  if (*now == merged || (other_change && merged != reg::bist_start))
    return op_error::success;
  return wire_error(port.write(what.offset, what.width, merged));
}

/// Starts a read of one word. With the flag set it would be a write to the function's VPD.
op_error write_vpd_address(config_port& port, const field& what, std::uint32_t merged) {
  if ((merged & reg::vpd_flag) != 0)
    return op_error::access_denied;
  return wire_error(port.write(what.offset, what.width, merged));
}

/// Memory Write and Invalidate needs a cache line size; what the guest has set is taken, else the processor's is tried.
bool has_cache_line_size(config_port& port) {
  constexpr std::uint32_t in_words = 64 / 4;
  const auto now = port.read(reg::cache_line_size, 1);
  if (now && *now != 0)
    return true;
  if (!now || !port.write(reg::cache_line_size, 1, in_words))
    return false;
  const auto then = port.read(reg::cache_line_size, 1);
  return then && *then == in_words;
}

std::uint16_t enable_bits(writing control) {
  return control == writing::msi_control ? reg::msi_enable : reg::msix_enable;
}

} // namespace

/// Changes the bits of the field's mask in the bytes that the request and the field share; those bytes alone are
/// accessed.
op_error space::write_masked(config_port& port, const field& what, register_span where, std::uint32_t value) {
  const register_span both = where.covers(what) ? register_span{what.offset, what.width} : where;
  const std::uint32_t mask = seen_from(what.mask, what.offset, both.first) & both.bits();
  const std::uint32_t wanted = seen_from(value, where.first, both.first) & both.bits();
  if (mask == both.bits())
    return wire_error(port.write(both.first, both.width, wanted));
  if (mask == 0) {
    refused_writes_.note({both.first, both.width, wanted, wanted, 0, op_error::success});
    return op_error::success;
  }
  const auto now = read_answered(port, both.first, both.width);
  if (!now)
    return wire_error(now.error());
  const std::uint32_t kept = *now & ~mask & both.bits();
  if (((wanted ^ kept) & ~mask) != 0)
    refused_writes_.note({both.first, both.width, wanted, (wanted ^ kept) & ~mask, 0, op_error::success});
  return wire_error(port.write(both.first, both.width, (wanted & mask) | kept));
}

/// The frontend's PCI core writes whole registers back, of which these are a part: only a change is a refusal.
void space::write_closed(config_port& port, const field& what, register_span where, std::uint32_t value) {
  if (what.read != reading::hardware && what.read != reading::copy)
    return;
  const register_span both = where.covers(what) ? register_span{what.offset, what.width} : where;
  const std::uint32_t wanted = seen_from(value, where.first, both.first) & both.bits();
  const access now = read(port, both);
  if (now.error == op_error::success && now.value != wanted)
    refused_writes_.note({both.first, both.width, wanted, now.value ^ wanted, 0, op_error::success});
}

op_error space::write_field(config_port& port, const field& what, register_span where, std::uint32_t value) {
  if (what.write == writing::none) {
    write_closed(port, what, where, value);
    return op_error::success;
  }
  if (what.write == writing::hardware)
    return write_masked(port, what, where, value);
  if (what.write == writing::status)
    return write_status(port, what, where, value);
  const std::uint32_t all = all_bits(what.width);
  if (where.covers(what))
    return write_merged(port, what, seen_from(value, where.first, what.offset) & all);
  const access now = read(port, register_span{what.offset, what.width});
  if (now.error != op_error::success)
    return now.error;
  if (what.read == reading::hardware && now.value == all)
    return op_error::dev_not_found; // none of them is all ones: the rest of it would be made up
  const std::uint32_t written = seen_from(where.bits(), where.first, what.offset);
  return write_merged(port, what, (now.value & ~written) | seen_from(value, where.first, what.offset));
}

op_error space::write_merged(config_port& port, const field& what, std::uint32_t merged) {
  const auto low = static_cast<std::uint16_t>(merged);
  switch (what.write) {
  case writing::command:
    return write_command(port, low);
  case writing::bist:
    return write_bist(port, what, merged);
  case writing::vpd_address:
    return write_vpd_address(port, what, merged);
  case writing::pmcsr:
    return write_pmcsr(port, what, low);
  case writing::msi_control:
  case writing::msix_control:
    return write_control(port, what, low);
  default: // bar, rom; the rest is write_field's
    return write_bar(port, what, merged);
  }
}

op_error space::write_command(config_port& port, std::uint16_t merged) {
  const auto now = port.read(reg::command, 2);
  if (!now)
    return wire_error(now.error());
  if (*now == nobody)
    return op_error::dev_not_found;
  const auto hardware = static_cast<std::uint16_t>(*now);
  unsigned written = merged;
  if ((written & ~unsigned{hardware} & reg::command_invalidate) != 0 && !has_cache_line_size(port))
    written &= ~unsigned{reg::command_invalidate};
  const auto kept = static_cast<std::uint16_t>(written);
  const auto next = command::hardware_value(hardware, state_.command, kept, {decode_, permissive_, interrupt_control_});
  if (next != hardware)
    if (const auto done = port.write(reg::command, 2, next); !done)
      return wire_error(done); // the shadow stays: the guest is told that nothing has changed
  if (conventional_ && (next & ~unsigned{hardware} & reg::command_master) != 0)
    give_time_on_the_bus(port);
  state_.command = kept;
  state_.decoding = (written & command::decode) != 0;
  return op_error::success;
}

/// A master that the firmware has left at 0 loses the bus at once whenever another asks for it. The guest cannot write
/// the register.
void space::give_time_on_the_bus(config_port& port) {
  constexpr std::uint32_t least = 16, usual = 64; // clocks, as Linux has them
  if (const auto now = port.read(reg::latency_timer, 1); now && *now < least)
    static_cast<void>(port.write(reg::latency_timer, 1, usual)); // a function that keeps it at 0 needs none
}

result<void> space::renew_command(config_port& port) const {
  const auto now = read_answered(port, reg::command, 2);
  if (!now)
    return tl::unexpected(now.error());
  const auto hardware = static_cast<std::uint16_t>(*now);
  // As if the guest had written it for the first time: what it may turn over it has turned over from 0.
  const auto next = command::hardware_value(hardware, 0, state_.command, {decode_, permissive_, interrupt_control_});
  return next == hardware ? result<void>{} : port.write(reg::command, 2, next);
}

/// Nothing moves. All ones ask for the size; the value itself, written back, restores a register that a reset has
/// emptied; all else ends the sizing and is ignored.
op_error space::write_bar(config_port& port, const field& what, std::uint32_t merged) {
  const base_register& bar = bars_.at(what.index);
  const unsigned bit = 1U << what.index;
  if (bar.is_sizing(merged)) {
    state_.sizing = static_cast<std::uint8_t>(state_.sizing | bit);
    return op_error::success;
  }
  state_.sizing = static_cast<std::uint8_t>(state_.sizing & ~bit);
  // A virtual function's own registers are 0 for good; one without a size is not the guest's to touch.
  if (merged != bar.value || bar.size_mask == 0 || virtual_)
    return op_error::success;
  const auto now = read_answered(port, what.offset, what.width);
  if (!now)
    return wire_error(now.error());
  if (((*now ^ bar.value) & ~bar.type_bits) == 0)
    return op_error::success;
  // The type bits, and with them the ROM's enable bit, are left to the hardware.
  return wire_error(port.write(what.offset, what.width, (bar.value & ~bar.type_bits) | (*now & bar.type_bits)));
}

op_error space::write_pmcsr(config_port& port, const field& what, std::uint16_t merged) const {
  const auto now = port.read(what.offset, what.width);
  if (!now)
    return wire_error(now.error());
  if (*now == nobody)
    return op_error::dev_not_found;
  const auto hardware = static_cast<std::uint16_t>(*now);
  const bool move = power::reachable(hardware & reg::pmcsr_state, merged & reg::pmcsr_state, pmc_);
  const auto next = power::hardware_value(hardware, merged, move);
  if (power::changes(hardware, next))
    if (const auto done = port.write(what.offset, what.width, next); !done)
      return wire_error(done);
  return move ? op_error::success : op_error::access_denied;
}

/// Always 16 bits: Xen lets nothing else through to these registers.
op_error space::write_control(config_port& port, const field& what, std::uint16_t merged) const {
  if (permissive_)
    return wire_error(port.write(what.offset, what.width, merged));
  const auto now = port.read(what.offset, what.width);
  if (!now)
    return wire_error(now.error());
  const std::uint32_t changed = *now ^ merged;
  if (changed == 0) // a guest's PCI core writes around the operations what they have brought about already
    return op_error::success;
  const std::uint32_t allowed =
      what.write == writing::msi_control ? reg::msi_enable : reg::msix_enable | reg::msix_mask_all;
  if (!interrupt_control_ || (changed & ~allowed) != 0)
    return op_error::access_denied;
  if ((merged & enable_bits(what.write)) != 0)
    if (const op_error refusal = may_enable(port, what.write); refusal != op_error::success)
      return refusal;
  return wire_error(port.write(what.offset, what.width, merged));
}

/// One kind at a time. What the daemon has enabled, its mode says; what the guest has enabled itself (a stub domain
/// maps its interrupts without asking), only the other capability does.
op_error space::may_enable(config_port& port, writing control) const {
  const auto own = control == writing::msi_control ? interrupt_mode::msi : interrupt_mode::msix;
  if (mode_ != interrupt_mode::intx && mode_ != own)
    return op_error::access_denied;
  const auto other = control == writing::msi_control ? writing::msix_control : writing::msi_control;
  for (const field& each : fields_) {
    if (each.write != other)
      continue;
    const auto now = port.read(each.offset, each.width);
    if (!now)
      return wire_error(now.error());
    if ((*now & enable_bits(other)) != 0)
      return op_error::access_denied;
  }
  return op_error::success;
}

} // namespace pci
