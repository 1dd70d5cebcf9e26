// SPDX-License-Identifier: GPL-2.0-or-later
#include "fuzz/model/blueprint.hpp"

#include <algorithm>

namespace model {
namespace {

void put(blueprint& plan, std::size_t offset, unsigned width, std::uint32_t value) {
  for (unsigned i = 0; i < width; ++i)
    plan.config.at(offset + i) = static_cast<std::uint8_t>(value >> (8 * i));
}

/// Registers have to read as something.
void fill(blueprint& plan, std::size_t first, std::size_t end, std::uint32_t seed) {
  for (std::size_t at = first; at < end; ++at) {
    seed = seed * 1664525U + 1013904223U;
    plan.config.at(at) = static_cast<std::uint8_t>(seed >> 24);
  }
}

// -- BARs

bar draw_bar(fuzz::input& in, unsigned index, bool may_be_wide) {
  bar made;
  const auto choice = in.byte();
  made.what = static_cast<bar_kind>(choice & 3);
  if (made.what == bar_kind::wide_memory && !may_be_wide)
    made.what = bar_kind::memory;
  if (made.what == bar_kind::none)
    return made;
  made.prefetchable = made.what != bar_kind::ports && (choice & 4) != 0;
  made.given = (choice & 0x18) != 0x18;
  made.fixed = (choice & 0xe0) == 0xe0;
  const bool ports = made.what == bar_kind::ports;
  made.size = std::uint64_t{1} << (ports ? 2 + (choice >> 5) : 7 + 2 * (choice >> 5));
  made.start = ports ? 0xc000U + 0x200U * index : 0xf0000000U + 0x1000000U * index;
  if (made.what == bar_kind::wide_memory)
    made.start |= std::uint64_t{in.byte()} << 32;
  return made;
}

/// Above one of 64 bits stands its upper half.
void draw_bars(blueprint& plan, fuzz::input& in) {
  const unsigned count = plan.bridge ? 2 : 6;
  for (unsigned i = 0; i < count; ++i) {
    plan.bars.at(i) = draw_bar(in, i, i + 1 < count);
    if (plan.bars.at(i).what == bar_kind::wide_memory)
      ++i;
  }
  const auto choice = in.byte();
  if ((choice & 3) != 0)
    plan.rom = {bar_kind::memory, false, (choice & 4) != 0, false, 0xfe000000, std::uint64_t{0x800} << (choice >> 5)};
}

/// The registers themselves. What the host has not given an address may stand at any.
void write_bars(blueprint& plan) {
  for (unsigned i = 0; i < (plan.bridge ? 2U : 6U); ++i) {
    const bar& each = plan.bars.at(i);
    const std::uint32_t type = each.what == bar_kind::ports         ? 1
                               : each.what == bar_kind::wide_memory ? 4 + (each.prefetchable ? 8U : 0U)
                                                                    : (each.prefetchable ? 8U : 0U);
    const bool reads_zero = plan.is_virtual || each.what == bar_kind::none;
    put(plan, 0x10 + 4 * i, 4, reads_zero ? 0 : static_cast<std::uint32_t>(each.start) | type);
    if (each.what == bar_kind::wide_memory)
      put(plan, 0x14 + 4 * i++, 4, reads_zero ? 0 : static_cast<std::uint32_t>(each.start >> 32));
  }
  put(plan, plan.bridge ? 0x38 : 0x30, 4, static_cast<std::uint32_t>(plan.rom.start));
}

// -- capabilities

constexpr std::array<std::uint8_t, 6> ids{0x01, 0x03, 0x05, 0x11, 0x10, 0x09};
constexpr std::array<std::uint8_t, 6> lengths{8, 8, 10, 12, 12, 2};

void draw_messages_x(capability& made, blueprint& plan, fuzz::input& in) {
  made.entries = in.flag() ? 1 + in.below(16) : 1 + in.take<std::uint16_t>() % 2048;
  made.table_bar = in.below(16) < 12 ? in.below(6) : in.below(8);
  made.pending_bar = in.below(4) != 0 ? made.table_bar : in.below(8);
  made.table_at = 8U * in.below(4);
  made.pending_at = in.below(4) != 0 ? made.table_at + 16 * made.entries : 8U * in.below(8);
  const std::uint32_t control = (made.entries - 1) | (in.once_in(8) ? 0x8000U : 0U);
  put(plan, made.offset + 2U, 2, control);
  put(plan, made.offset + 4U, 4, made.table_at | made.table_bar);
  put(plan, made.offset + 8U, 4, made.pending_at | made.pending_bar);
}

capability draw_capability(blueprint& plan, fuzz::input& in, std::uint8_t offset) {
  capability made;
  const auto choice = in.byte();
  made.what = static_cast<kind>(choice % 6);
  made.id = ids.at(choice % 6);
  made.offset = offset;
  made.length = lengths.at(choice % 6);
  const bool whole = offset + 12U <= 256;
  if (made.what == kind::pm) {
    made.d1 = (choice & 0x40) != 0;
    made.d2 = (choice & 0x80) != 0;
    put(plan, offset + 2U, 2, 0xf803U | (made.d1 ? 0x200U : 0U) | (made.d2 ? 0x400U : 0U));
    put(plan, offset + 4U, 2, in.take<std::uint16_t>() & 0x9f00U);
  } else if (made.what == kind::msi) {
    const bool wide = (choice & 0x40) != 0, maskable = (choice & 0x80) != 0;
    made.length = static_cast<std::uint8_t>(10 + (wide ? 4 : 0) + (maskable ? 10 : 0));
    put(plan, offset + 2U, 2, (wide ? 0x80U : 0U) | (maskable ? 0x100U : 0U));
  } else if (made.what == kind::msix && whole) {
    draw_messages_x(made, plan, in);
  }
  return made;
}

bool in_memory(const blueprint& plan, unsigned which, std::uint64_t end) {
  if (which >= plan.bars.size())
    return false;
  const bar& found = plan.bars.at(which);
  return found.given && (found.what == bar_kind::memory || found.what == bar_kind::wide_memory) && !found.fixed &&
         end <= found.size;
}

bool has_memory_for(const blueprint& plan, const capability& msix) {
  const std::uint64_t table = msix.table_at, table_end = table + 16ULL * msix.entries;
  const std::uint64_t pending = msix.pending_at, pending_end = pending + 8ULL * ((msix.entries + 63) / 64);
  const bool apart = msix.table_bar != msix.pending_bar || table_end <= pending || pending_end <= table;
  return in_memory(plan, msix.table_bar, table_end) && in_memory(plan, msix.pending_bar, pending_end) && apart;
}

/// Of each kind but the last the first counts, and no other.
void judge(blueprint& plan) {
  std::array<bool, 6> seen{};
  for (capability& each : plan.capabilities) {
    bool& before = seen.at(static_cast<std::size_t>(each.what));
    const bool first = !before || each.what == kind::other;
    before = true;
    each.sound = first && each.offset + each.length <= 256 && (each.what != kind::msix || has_memory_for(plan, each));
  }
}

/// At places that leave each its room; the last has 8 bytes only. The list ends, or leads back to where it has been, or
/// into the header.
void draw_capabilities(blueprint& plan, fuzz::input& in) {
  std::vector<std::uint8_t> places{0x40, 0x60, 0x80, 0xa0, 0xc0, 0xe0, 0xf8};
  plan.lists = !in.once_in(16);
  for (unsigned left = in.below(8); left > 0 && !places.empty(); --left) {
    const auto chosen = places.begin() + in.below(static_cast<unsigned>(places.size()));
    plan.capabilities.push_back(draw_capability(plan, in, *chosen));
    places.erase(chosen);
  }
  const std::array<std::uint8_t, 4> ends{
      0, 0, 0x10, plan.capabilities.empty() ? std::uint8_t{0} : plan.capabilities.front().offset};
  std::uint8_t next = ends.at(in.below(4));
  for (auto each = plan.capabilities.rbegin(); each != plan.capabilities.rend(); ++each) {
    put(plan, each->offset, 2, each->id | unsigned{next} << 8);
    next = each->offset;
  }
  put(plan, 0x34, 1, plan.capabilities.empty() ? 0 : plan.capabilities.front().offset);
  if (!plan.lists)
    plan.capabilities.clear();
  judge(plan);
}

void draw_extended(blueprint& plan, fuzz::input& in) {
  const auto choice = in.byte();
  plan.extended_is_zero = choice % 3 == 0;
  if (plan.extended_is_zero)
    return;
  if (choice % 3 == 1) { // no list, and something
    plan.config.at(0x100 + 4 * in.byte() + 4U) = 1;
    return;
  }
  fill(plan, 0x100, 0x1000, choice);
  unsigned at = 0x100;
  for (unsigned left = 1 + in.below(6); left > 0 && at != 0; --left) {
    const unsigned further = at + 8 + 4U * in.byte();
    const unsigned next = left == 1 || further > 0xffc ? 0 : further;
    put(plan, at, 4, (1U + in.below(0x30)) | 0x10000U | next << 20);
    plan.extended_headers.push_back(static_cast<std::uint16_t>(at));
    at = next;
  }
}

void draw_header(blueprint& plan, fuzz::input& in) {
  fill(plan, 0x08, 0x100, in.take<std::uint32_t>());
  plan.vendor = static_cast<std::uint16_t>(0x1000 + in.byte());
  plan.device = in.take<std::uint16_t>();
  put(plan, 0, 4, plan.is_virtual ? 0xffffffffU : plan.vendor | std::uint32_t{plan.device} << 16);
  put(plan, 0x04, 2, in.take<std::uint16_t>() & 0x7ffU);
  put(plan, 0x0e, 1, (plan.bridge ? 1U : 0U) | (in.flag() ? 0x80U : 0U));
  plan.irq = in.once_in(8) ? in.take<std::uint32_t>() : 16U + in.below(32);
}

} // namespace

const capability* blueprint::find(kind what) const {
  const auto found =
      std::ranges::find_if(capabilities, [&](const capability& each) { return each.what == what && each.sound; });
  return found == capabilities.end() ? nullptr : &*found;
}

std::uint32_t blueprint::number(std::size_t offset, unsigned width) const {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < width; ++i)
    value |= std::uint32_t{config.at(offset + i)} << (8 * i);
  return value;
}

blueprint draw(fuzz::input& in) {
  blueprint plan;
  const auto choice = in.byte();
  plan.extended = (choice & 1) != 0;
  plan.bridge = (choice & 6) == 6;
  plan.is_virtual = !plan.bridge && (choice & 0x18) == 0x18;
  plan.config.resize(plan.extended ? 0x1000 : 0x100);
  draw_header(plan, in);
  draw_bars(plan, in);
  draw_capabilities(plan, in);
  put(plan, 0x06, 2, plan.lists ? 0x10 : 0);
  write_bars(plan);
  if (plan.extended)
    draw_extended(plan, in);
  return plan;
}

namespace {

/// A line of sysfs `resource`, with Linux's flags.
pci::resource resource_of(const bar& what) {
  if (what.what == bar_kind::none)
    return {};
  std::uint64_t flags = what.what == bar_kind::ports ? 0x101 : 0x200;
  if (what.what == bar_kind::wide_memory)
    flags |= 0x100004;
  if (what.prefetchable)
    flags |= 0x2008;
  if (what.fixed)
    flags |= 0x10;
  if (!what.given)
    flags |= 0x20000000;
  return {what.start, what.start + what.size - 1, flags};
}

} // namespace

pci::function describe(const blueprint& plan) {
  pci::function made;
  made.address = pci::make_sbdf(0, 3, 4, 0);
  made.vendor = plan.vendor;
  made.device = plan.device;
  made.irq = plan.irq;
  for (std::size_t i = 0; i < plan.bars.size(); ++i)
    made.resources.at(i) = resource_of(plan.bars.at(i));
  made.resources.back() = resource_of(plan.rom);
  if (plan.is_virtual)
    made.physical_function = pci::make_sbdf(0, 3, 0, 0);
  made.config.resize(plan.config.size());
  std::ranges::transform(plan.config, made.config.begin(), [](std::uint8_t each) { return std::byte{each}; });
  return made;
}

} // namespace model
