// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/config_space/space.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "pci/config_space/command.hpp"
#include "pci/config_space/field_list.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/wire_error.hpp"

namespace pci {
namespace {

constexpr bool well_formed(std::int32_t offset, std::int32_t size) {
  return (size == 1 || size == 2 || size == 4) && offset >= 0 && offset % size == 0;
}

constexpr register_span span_of(std::int32_t offset, std::int32_t size) {
  return {static_cast<std::uint16_t>(offset), static_cast<std::uint8_t>(size)};
}

} // namespace

result<space> space::build(const function& function, const policy& policy) {
  if (function.config_size() != reg::extended && function.config_size() != reg::space_end)
    return fail(EINVAL, fmt::format("configuration space of {} bytes", function.config_size()));
  const auto layout = function.header_layout();
  if (layout > 1)
    return fail(ENODEV, fmt::format("configuration header of type {}", layout));
  space built;
  built.fields_ = build_fields(function, policy);
  built.own_fields_ = built.fields_.size();
  built.bars_ = base_registers(function);
  built.size_ = function.config_size();
  // INTX_DISABLE may have been set by a dom0 driver or handler when the copy was taken; the guest has its line.
  built.first_command_ =
      static_cast<std::uint16_t>(function.copy(reg::command, 2) & ~unsigned{reg::command_intx_disable});
  built.decode_ = decode_bits(function);
  if (const auto pm = find_capability(function, reg::cap_pm))
    built.pmc_ = static_cast<std::uint16_t>(function.copy(*pm + reg::pmc, 2));
  built.virtual_ = function.is_virtual();
  built.conventional_ = !find_capability(function, reg::cap_express) && !function.is_virtual();
  built.empty_extended_ = function.config_size() == reg::space_end &&
                          std::all_of(function.config.begin() + reg::extended, function.config.end(),
                                      [](std::byte each) { return each == std::byte{0}; });
  built.reset(policy);
  return built;
}

void space::reset(const policy& policy) {
  state_ = {};
  state_.command = first_command_;
  refused_writes_ = {};
  set_policy(policy);
}

void space::set_policy(const policy& policy) {
  writes_ = mode_of(policy);
  permissive_ = policy.permissive;
  interrupt_control_ = policy.allow_interrupt_control;
  fields_.resize(own_fields_);
  refused_ = append_quirks(fields_, policy, size_);
}

result<void> space::prepare(config_port& port) const {
  for (const field& each : fields_) {
    if (each.write != writing::pmcsr)
      continue;
    const auto now = port.read(each.offset, each.width);
    if (!now)
      return tl::unexpected{now.error()};
    constexpr std::uint32_t cleared = reg::pmcsr_pme_enable | reg::pmcsr_pme_status; // the latter by writing 1
    constexpr std::uint32_t nobody = 0xffff;                                         // the function does not answer
    if (*now != nobody && (*now & reg::pmcsr_pme_enable) != 0)
      return port.write(each.offset, each.width, *now & ~cleared);
  }
  return {};
}

bool space::take_dropped_write_warning() {
  const bool due = state_.dropped.count > 0 && !state_.dropped.reported;
  state_.dropped.reported = state_.dropped.reported || due;
  return due;
}

bool space::inside(std::int32_t offset, std::int32_t size) const {
  return static_cast<std::size_t>(offset) + static_cast<std::size_t>(size) <= size_;
}

access space::read(config_port& port, std::int32_t offset, std::int32_t size) const {
  if (!well_formed(offset, size))
    return {op_error::invalid_offset, 0};
  if (!inside(offset, size))
    return {op_error::invalid_offset, all_bits(static_cast<unsigned>(size))};
  return read(port, span_of(offset, size));
}

// A guest that dumps the space reads 960 such registers, each a trapped access to the host's. Where the policy lets the
// guest write there, something may have come of it.
bool space::is_reserved(register_span where) const {
  return empty_extended_ && where.first >= reg::extended && !permissive_ && fields_.size() == own_fields_;
}

access space::read(config_port& port, register_span where) const {
  if (is_reserved(where))
    return {op_error::success, 0};
  const overlay over = overlay_of(where);
  if (over.known == where.bits())
    return {op_error::success, over.value};
  const auto hardware = port.read(where.first, where.width);
  if (!hardware)
    return {wire_error(hardware.error()), where.bits()};
  return {op_error::success, (*hardware & where.bits() & ~over.known) | over.value};
}

space::overlay space::overlay_of(const field& what) const {
  switch (what.read) {
  case reading::hardware:
    return {};
  case reading::command:
    return {all_bits(2) & ~unsigned{command::guest_bits}, state_.command & ~unsigned{command::guest_bits}};
  case reading::bar: {
    const base_register& bar = bars_.at(what.index);
    const bool sizing = (state_.sizing >> what.index & 1) != 0;
    return {all_bits(4), sizing ? bar.size_mask : bar.value};
  }
  case reading::copy:
  case reading::vendor:
  case reading::device:
  case reading::interrupt_line:
  case reading::pm_capabilities:
    break;
  }
  return {all_bits(what.width), what.value};
}

space::overlay space::overlay_of(register_span where) const {
  overlay all;
  for (const field& each : fields_) {
    if (!each.overlaps(where.first, where.width))
      continue;
    // Only a quirk lies over another field; it comes later, and what it opens is the hardware's again.
    const std::uint32_t taken = seen_from(all_bits(each.width), each.offset, where.first) & where.bits();
    const overlay one = overlay_of(each);
    all.known = (all.known & ~taken) | (seen_from(one.known, each.offset, where.first) & where.bits());
    all.value = (all.value & ~taken) | (seen_from(one.value, each.offset, where.first) & where.bits());
  }
  return all;
}

access space::write(config_port& port, std::int32_t offset, std::int32_t size, std::uint32_t value) {
  if (!well_formed(offset, size) || !inside(offset, size))
    return {op_error::invalid_offset, value};
  const register_span where = span_of(offset, size);
  op_error error = op_error::success;
  std::uint32_t covered = 0;
  for (const field& each : fields_) {
    if (each.write == writing::uncovered || !each.overlaps(where.first, where.width))
      continue;
    covered |= seen_from(all_bits(each.width), each.offset, where.first) & where.bits();
    const op_error one = write_field(port, each, where, value & where.bits());
    if (one == op_error::access_denied)
      refused_writes_.note({each.offset, each.width, value & where.bits(), all_bits(each.width), 0, one});
    if (error == op_error::success)
      error = one;
  }
  if (covered == 0)
    return {write_uncovered(port, where, value & where.bits()), value};
  // Covered is the request, not the byte: beside a field nothing is written, not even when permissive (spec 4.3).
  if (covered != where.bits())
    note_beside(port, where, value & where.bits(), covered);
  return {error, value};
}

op_error space::write_uncovered(config_port& port, register_span where, std::uint32_t value) {
  if (permissive_)
    return wire_error(port.write(where.first, where.width, value));
  dropped_writes& dropped = state_.dropped;
  dropped = {dropped.count + 1, where.first, where.width, value, dropped.reported};
  note_dropped(port, where, value);
  return op_error::success;
}

void space::note_dropped(config_port& port, register_span where, std::uint32_t value) {
  const auto now = port.read(where.first, where.width);
  // What reads the same already was perhaps to be cleared by writing 1.
  const std::uint32_t changed = now ? (*now ^ value) & where.bits() : where.bits();
  refused_writes_.note({where.first, where.width, value, changed != 0 ? changed : value, 0, op_error::success});
}

void space::note_beside(config_port& port, register_span where, std::uint32_t value, std::uint32_t covered) {
  // The frontend writes whole registers back: only a change is a refusal.
  const access now = read(port, where);
  const std::uint32_t changed = (now.value ^ value) & ~covered;
  for (unsigned at = 0; now.error == op_error::success && at < where.width;) {
    const unsigned width = at % 2 == 0 && ((covered >> (8 * at)) & all_bits(2)) == 0 ? 2 : 1;
    if (const std::uint32_t mask = (changed >> (8 * at)) & all_bits(width); mask != 0)
      refused_writes_.note({static_cast<std::uint16_t>(where.first + at), static_cast<std::uint8_t>(width),
                            (value >> (8 * at)) & all_bits(width), mask, 0, op_error::success});
    at += width;
  }
}

} // namespace pci
