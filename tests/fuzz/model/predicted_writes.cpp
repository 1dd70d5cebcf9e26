// SPDX-License-Identifier: GPL-2.0-or-later
// The registers that have rules of their own.
#include "fuzz/model/predicted_space.hpp"

namespace model {

// -- COMMAND

std::uint32_t predicted_space::next_command(std::uint32_t now, std::uint32_t before, std::uint32_t value) const {
  std::uint32_t guests = permissive_ ? 0x2bcU : 0x14U; // MASTER and INVALIDATE
  if (controls_)
    guests |= (before ^ value) & 0x400; // INTX_DISABLE, if it is turned over
  const std::uint32_t next = (now & ~guests) | (value & guests);
  return (value & 3) != 0 ? next | decode_ : next; // decoding is switched on, all of it, and never off
}

/// The guest's, or the processor's if the card takes that.
bool predicted_space::has_cache_line() {
  std::uint32_t now = 0;
  if (to_.read(0x0c, 1, now) != 0)
    return false;
  if (now != 0)
    return true;
  return to_.write(0x0c, 1, 16) == 0 && to_.read(0x0c, 1, now) == 0 && now == 16;
}

int predicted_space::write_command(std::uint32_t value) {
  std::uint32_t now = 0;
  if (const int error = to_.read(0x04, 2, now); error != 0)
    return told_of(error);
  if (now == 0xffff)
    return not_found;
  if ((value & ~now & 0x10) != 0 && !has_cache_line())
    value &= ~0x10U;
  const std::uint32_t next = next_command(now, command, value);
  if (next != now)
    if (const int error = to_.write(0x04, 2, next); error != 0)
      return told_of(error);
  std::uint32_t latency = 0;
  if (plan_.conventional() && (next & ~now & 4) != 0 && to_.read(0x0d, 1, latency) == 0 && latency < 16)
    static_cast<void>(to_.write(0x0d, 1, 64));
  command = static_cast<std::uint16_t>(value);
  decoding = (value & 3) != 0;
  return 0;
}

int predicted_space::renew_command() {
  std::uint32_t now = 0;
  if (const int error = read_surely(0x04, 2, now); error != 0)
    return error;
  const std::uint32_t next = next_command(now, 0, command);
  return next == now ? 0 : to_.write(0x04, 2, next);
}

// -- BIST: the start bit alone

int predicted_space::write_bist(std::uint32_t value) {
  std::uint32_t now = 0;
  if (const int error = to_.read(0x0f, 1, now); error != 0)
    return told_of(error);
  const bool starts_alone = value == 0x40 || ((now ^ value) & 0xbf) == 0;
  return now == value || !starts_alone ? 0 : told_of(to_.write(0x0f, 1, value));
}

// -- BARs: nothing moves

int predicted_space::write_base(const reg& what, std::uint32_t value) {
  const base& is = bases_.at(what.index);
  const auto bit = static_cast<std::uint8_t>(1U << what.index);
  const bool sizes = (value | is.type) == 0xffffffff;
  sizing = static_cast<std::uint8_t>(sizes ? sizing | bit : sizing & ~bit);
  if (sizes || value != is.value || is.sizes == 0 || plan_.is_virtual)
    return 0;
  // What a reset has emptied is filled again.
  std::uint32_t now = 0;
  if (const int error = read_surely(what.offset, 4, now); error != 0)
    return told_of(error);
  const std::uint32_t next = (is.value & ~is.type) | (now & is.type);
  return ((now ^ is.value) & ~is.type) == 0 ? 0 : told_of(to_.write(what.offset, 4, next));
}

// -- power: the states that there are, out of a deeper one to D0 only; PME stays off

int predicted_space::write_power(const reg& what, std::uint32_t value) {
  const capability& pm = *plan_.find(kind::pm);
  std::uint32_t now = 0;
  if (const int error = to_.read(what.offset, 2, now); error != 0)
    return told_of(error);
  if (now == 0xffff)
    return not_found;
  const std::uint32_t from = now & 3, to = value & 3;
  const bool moves = to == 0 || (to >= from && (to == 3 || (to == 1 ? pm.d1 : pm.d2)));
  const std::uint32_t next = (now & 0x60fc) | (moves ? to : from) | (value & 0x1e00) | (value & now & 0x8000);
  if (((now ^ next) & 0x7fff) != 0 || (next & 0x8000) != 0)
    if (const int error = to_.write(what.offset, 2, next); error != 0)
      return told_of(error);
  return moves ? 0 : denied;
}

int predicted_space::prepare() {
  const capability* pm = plan_.find(kind::pm);
  std::uint32_t now = 0;
  if (pm == nullptr)
    return 0;
  if (const int error = to_.read(pm->offset + 4U, 2, now); error != 0)
    return error;
  return now == 0xffff || (now & 0x100) == 0 ? 0 : to_.write(pm->offset + 4U, 2, now & 0x7eff);
}

// -- the control words of MSI and MSI-X: the daemon's, or a stub domain's, one kind at a time

int predicted_space::write_messages(const reg& what, std::uint32_t value) {
  if (permissive_)
    return told_of(to_.write(what.offset, 2, value));
  std::uint32_t now = 0;
  if (const int error = to_.read(what.offset, 2, now); error != 0)
    return told_of(error);
  if (now == value)
    return 0;
  const bool is_msi = what.what == rule::msi;
  const std::uint32_t enable = is_msi ? 0x0001 : 0x8000, allowed = is_msi ? 0x0001 : 0xc000;
  if (!controls_ || ((now ^ value) & ~allowed) != 0)
    return denied;
  if ((value & enable) != 0) {
    if (on != messages::none && on != (is_msi ? messages::msi : messages::msix))
      return denied;
    for (const reg& each : regs_) {
      if (each.what != (is_msi ? rule::msix : rule::msi))
        continue;
      std::uint32_t other = 0;
      if (const int error = to_.read(each.offset, 2, other); error != 0)
        return told_of(error);
      if ((other & (is_msi ? 0x8000U : 0x0001U)) != 0)
        return denied;
    }
  }
  return told_of(to_.write(what.offset, 2, value));
}

} // namespace model
