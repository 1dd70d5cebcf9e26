// SPDX-License-Identifier: GPL-2.0-or-later
#include "fuzz/model/predicted_space.hpp"

#include <algorithm>

namespace model {
namespace {

constexpr std::uint32_t from_hardware = 0x2bc; ///< of COMMAND, MASTER to FAST_BACK
constexpr unsigned rom_index = 6;

/// Bytes `offset`.. of a register that begins at `first`, as they lie in a write of theirs.
std::uint32_t part(std::uint32_t value, unsigned first, unsigned offset, unsigned width) {
  const std::uint32_t all = hardware::ones(width);
  return offset >= first ? value >> (8 * (offset - first)) & all : value << (8 * (first - offset)) & all;
}

} // namespace

predicted_space::predicted_space(const blueprint& plan, const pci::policy& policy, hardware& to)
    : plan_(plan), to_(to), fixed_(plan.size()), closed_(plan.size()) {
  build_header();
  build_bases();
  build_capabilities(policy);
  std::ranges::stable_sort(regs_, {}, &reg::offset);
  own_ = regs_.size();
  reset(policy);
}

// -- the registers

void predicted_space::fix(unsigned offset, unsigned width, std::uint32_t value) {
  for (unsigned i = 0; i < width; ++i)
    fixed_.at(offset + i) = {true, static_cast<std::uint8_t>(value >> (8 * i))};
}

void predicted_space::add(unsigned offset, unsigned width, rule what, unsigned index) {
  regs_.push_back({offset, width, what, 0xffffffff, index});
  for (unsigned i = 0; i < width && what != rule::ignored; ++i)
    closed_.at(offset + i) = true;
}

void predicted_space::build_header() {
  fix(0x00, 4, plan_.vendor | std::uint32_t{plan_.device} << 16);
  fix(0x08, 4, plan_.number(0x08, 4));
  fix(0x0e, 1, plan_.number(0x0e, 1));
  fix(0x34, 4, plan_.number(0x34, 4));
  fix(0x3c, 1, plan_.is_virtual ? 0 : std::min(plan_.irq, 255U));
  fix(0x3d, 1, plan_.number(0x3d, 1));
  for (const unsigned at : {0x00U, 0x01U, 0x02U, 0x03U, 0x3cU})
    closed_.at(at) = true;
  for (const auto& [at, width] : {std::pair{0x00U, 2U}, {0x02U, 2U}, {0x0dU, 1U}, {0x3cU, 1U}, {0x3dU, 1U}})
    regs_.push_back({at, width, rule::ignored});
  add(0x04, 2, rule::command);
  add(0x06, 2, rule::status);
  add(0x0c, 1, rule::plain);
  add(0x0f, 1, rule::bist);
  if (plan_.bridge)
    return;
  fix(0x28, 4, plan_.number(0x28, 4));
  fix(0x2c, 4, plan_.number(0x2c, 4));
  fix(0x3e, 2, plan_.number(0x3e, 2));
}

void predicted_space::build_bases() {
  const unsigned count = plan_.bridge ? 2 : 6;
  for (unsigned i = 0; i < count; ++i) {
    const bar& each = plan_.bars.at(i);
    const bool ports = each.what == bar_kind::ports, wide = each.what == bar_kind::wide_memory;
    const std::uint32_t type = ports ? 1 : (wide ? 4U : 0U) + (each.prefetchable ? 8U : 0U);
    const std::uint64_t sizes = ~(each.size - 1);
    bases_.at(i).type = ports ? 3 : 15;
    if (each.given) {
      bases_.at(i).value = static_cast<std::uint32_t>(each.start) | type;
      bases_.at(i).sizes = static_cast<std::uint32_t>(sizes) | type;
      decode_ |= plan_.is_virtual ? 0U : ports ? 1U : 2U;
    }
    if (wide) {
      ++i;
      if (each.given)
        bases_.at(i) = {static_cast<std::uint32_t>(each.start >> 32), static_cast<std::uint32_t>(sizes >> 32), 0};
    }
  }
  bases_.at(rom_index).type = 0x7ff;
  if (plan_.rom.given) {
    bases_.at(rom_index).value = static_cast<std::uint32_t>(plan_.rom.start);
    bases_.at(rom_index).sizes = static_cast<std::uint32_t>(~(plan_.rom.size - 1));
  }
  for (unsigned i = 0; i < count; ++i)
    add(0x10 + 4 * i, 4, rule::base, i);
  add(plan_.bridge ? 0x38 : 0x30, 4, rule::base, rom_index);
}

/// The guest's list has what can be used and is allowed, and no other.
void predicted_space::build_capabilities(const pci::policy& policy) {
  unsigned next = 0;
  for (auto each = plan_.capabilities.rbegin(); each != plan_.capabilities.rend(); ++each) {
    if (!each->sound || (each->what == kind::msi && !policy.msi) || (each->what == kind::msix && !policy.msix))
      continue;
    fix(each->offset, 2, each->id | next << 8);
    next = each->offset;
    build_capability(*each);
  }
  fix(0x34, 1, next);
  for (const unsigned at : plan_.extended_headers)
    fix(at, 4, plan_.number(at, 4));
}

void predicted_space::build_capability(const capability& what) {
  const unsigned at = what.offset;
  const bool has_rules = what.what != kind::express && what.what != kind::other;
  if (has_rules)
    add(at, 2, rule::ignored);
  switch (what.what) {
  case kind::pm:
    fix(at + 2, 2, plan_.number(at + 2, 2) & 0x07ff);
    regs_.push_back({at + 2, 2, rule::ignored});
    closed_.at(at + 2) = closed_.at(at + 3) = true;
    add(at + 4, 2, rule::power);
    add(at + 6, 1, rule::ignored);
    add(at + 7, 1, rule::ignored);
    break;
  case kind::vpd:
    add(at + 2, 2, rule::vpd);
    add(at + 4, 4, rule::ignored);
    break;
  case kind::msi:
    add(at + 2, 2, rule::msi);
    break;
  case kind::msix:
    add(at + 2, 2, rule::msix);
    fix(at + 4, 4, plan_.number(at + 4, 4));
    fix(at + 8, 4, plan_.number(at + 8, 4));
    break;
  case kind::express:
  case kind::other:
    break;
  }
}

void predicted_space::reset(const pci::policy& policy) {
  command = static_cast<std::uint16_t>(plan_.number(0x04, 2) & ~0x400U);
  decoding = false;
  sizing = 0;
  dropped = 0;
  set_policy(policy);
}

void predicted_space::set_policy(const pci::policy& policy) {
  permissive_ = policy.permissive;
  controls_ = policy.allow_interrupt_control;
  regs_.resize(own_);
  for (const auto& each : policy.quirks)
    open(each);
}

/// Refused where a register has a rule of its own, an earlier quirk included.
void predicted_space::open(const pci::quirk& what) {
  const unsigned first = what.offset, width = what.width;
  if ((width != 1 && width != 2 && width != 4) || first + width > plan_.size())
    return;
  for (unsigned at = first; at < first + width; ++at) {
    const auto here = [at](const reg& each) { return each.offset <= at && at < each.offset + each.width; };
    if (closed_.at(at) || std::any_of(regs_.begin() + static_cast<std::ptrdiff_t>(own_), regs_.end(), here))
      return;
  }
  const unsigned step = first % width == 0 ? width : 1;
  for (unsigned i = 0; i < width; i += step)
    regs_.push_back({first + i, step, rule::plain, what.mask >> (8 * i) & hardware::ones(step)});
}

// -- reading

bool predicted_space::malformed(std::int32_t offset, std::int32_t size) const {
  return (size != 1 && size != 2 && size != 4) || offset < 0 || offset % size != 0;
}

/// The bits of a byte that are known, and what they are.
void predicted_space::look(unsigned at, std::uint8_t& mask, std::uint8_t& value) const {
  mask = value = 0;
  for (std::size_t i = own_; i < regs_.size(); ++i)
    if (regs_[i].offset <= at && at < regs_[i].offset + regs_[i].width)
      return;
  if (at == 4 || at == 5) {
    mask = static_cast<std::uint8_t>(~from_hardware >> (8 * (at - 4)));
    value = static_cast<std::uint8_t>(command >> (8 * (at - 4)) & mask);
    return;
  }
  for (const reg& each : regs_)
    if (each.what == rule::base && each.offset <= at && at < each.offset + 4) {
      const base& is = bases_.at(each.index);
      mask = 0xff;
      value = static_cast<std::uint8_t>(((sizing >> each.index & 1) != 0 ? is.sizes : is.value) >>
                                        (8 * (at - each.offset)));
      return;
    }
  mask = fixed_.at(at).is ? 0xff : 0;
  value = fixed_.at(at).value;
}

int predicted_space::view(unsigned offset, unsigned width, std::uint32_t& into) {
  std::uint32_t known = 0, values = 0;
  for (unsigned i = 0; i < width; ++i) {
    std::uint8_t mask = 0, value = 0;
    look(offset + i, mask, value);
    known |= std::uint32_t{mask} << (8 * i);
    values |= std::uint32_t{value} << (8 * i);
  }
  into = values;
  if (known == hardware::ones(width))
    return 0;
  std::uint32_t now = 0;
  const int error = to_.read(offset, width, now);
  into = (now & ~known) | values;
  return error;
}

predicted_space::outcome predicted_space::read(std::int32_t offset, std::int32_t size) {
  if (malformed(offset, size))
    return {bad_offset, 0};
  const auto first = static_cast<unsigned>(offset), width = static_cast<unsigned>(size);
  if (first + width > plan_.size())
    return {bad_offset, hardware::ones(width)};
  if (first >= 0x100 && plan_.extended_is_zero && !permissive_ && regs_.size() == own_)
    return {0, 0};
  std::uint32_t value = 0;
  const int error = view(first, width, value);
  return {told_of(error), error == 0 ? value : hardware::ones(width)};
}

// -- writing

predicted_space::outcome predicted_space::write(std::int32_t offset, std::int32_t size, std::uint32_t value) {
  const auto first = static_cast<unsigned>(offset), width = static_cast<unsigned>(size);
  if (malformed(offset, size) || std::uint64_t{first} + width > plan_.size())
    return {bad_offset, value};
  const std::uint32_t written = value & hardware::ones(width);
  bool covered = false;
  int error = 0;
  for (const reg& each : regs_)
    if (each.offset < first + width && first < each.offset + each.width) {
      covered = true;
      const int one = write_register(each, first, width, written);
      error = error == 0 ? one : error;
    }
  if (!covered && permissive_)
    error = told_of(to_.write(first, width, written));
  else if (!covered)
    ++dropped;
  return {error, value};
}

int predicted_space::write_register(const reg& what, unsigned offset, unsigned width, std::uint32_t value) {
  if (what.what == rule::ignored)
    return 0;
  if (what.what == rule::plain)
    return write_plain(what, offset, width, value);
  if (what.what == rule::status) { // bits that are cleared by writing 1; not by who writes COMMAND
    const std::uint32_t cleared = part(value, offset, what.offset, 4) & 0xf900;
    return offset < what.offset || cleared == 0 ? 0 : told_of(to_.write(what.offset, 2, cleared));
  }
  if (offset <= what.offset && what.offset + what.width <= offset + width)
    return write_whole(what, part(value, offset, what.offset, what.width));
  // The rest of the register stays as the guest sees it.
  std::uint32_t now = 0;
  if (const int error = view(what.offset, what.width, now); error != 0)
    return told_of(error);
  const bool all_hardware = what.what != rule::command && what.what != rule::base;
  if (all_hardware && now == hardware::ones(what.width))
    return not_found;
  const std::uint32_t bytes = part(hardware::ones(width), offset, what.offset, what.width);
  return write_whole(what, (now & ~bytes) | (part(value, offset, what.offset, what.width) & bytes));
}

/// All ones are a value only of a card that is there.
int predicted_space::read_surely(unsigned offset, unsigned width, std::uint32_t& into) {
  int error = to_.read(offset, width, into);
  if (error != 0 || into != hardware::ones(width))
    return error;
  std::uint32_t status = 0;
  error = to_.read(0x06, 2, status);
  return error != 0 ? error : status == 0xffff ? ENODEV : 0;
}

int predicted_space::write_plain(const reg& what, unsigned offset, unsigned width, std::uint32_t value) {
  const unsigned first = std::max(offset, what.offset);
  const unsigned end = std::min(offset + width, what.offset + what.width);
  const std::uint32_t mask = part(what.mask, what.offset, first, end - first);
  const std::uint32_t wanted = part(value, offset, first, end - first);
  if (mask == hardware::ones(end - first))
    return told_of(to_.write(first, end - first, wanted));
  if (mask == 0)
    return 0;
  std::uint32_t now = 0;
  if (const int error = read_surely(first, end - first, now); error != 0)
    return told_of(error);
  return told_of(to_.write(first, end - first, (now & ~mask) | (wanted & mask)));
}

int predicted_space::write_whole(const reg& what, std::uint32_t value) {
  switch (what.what) {
  case rule::command:
    return write_command(value);
  case rule::bist:
    return write_bist(value);
  case rule::vpd: // a write to the card's VPD is not a guest's
    return (value & 0x8000) != 0 ? denied : told_of(to_.write(what.offset, 2, value));
  case rule::power:
    return write_power(what, value);
  case rule::msi:
  case rule::msix:
    return write_messages(what, value);
  default:
    return write_base(what, value);
  }
}

} // namespace model
