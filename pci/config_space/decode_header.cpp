// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>

#include <fmt/format.h>

#include "pci/config_space/decoder.hpp"
#include "pci/config_space/registers.hpp"

namespace pci::decoding {
namespace {

constexpr unsigned bar_is_io = 0x1, bar_is_64 = 0x4, bar_prefetches = 0x8;

/// "128K", as lspci has it.
std::string size_text(std::uint64_t size) {
  static constexpr std::array<std::string_view, 5> units{"", "K", "M", "G", "T"};
  std::size_t unit = 0;
  while (size >= 1024 && size % 1024 == 0 && unit + 1 < units.size()) {
    size /= 1024;
    ++unit;
  }
  return fmt::format("{}{}", size, units.at(unit));
}

std::string with_size(std::string text, std::uint64_t size) {
  return size == 0 ? text : text + fmt::format(" [size={}]", size_text(size));
}

std::string status_text(std::uint32_t value) {
  static constexpr std::array<std::string_view, 4> speeds{"fast", "medium", "slow", "reserved"};
  return fmt::format(
      "{} DEVSEL={} {}",
      flags(value, {{0x008, "INTx"}, {0x010, "Cap"}, {0x020, "66MHz"}, {0x080, "FastB2B"}, {0x100, "ParErr"}}),
      speeds.at(value >> 9U & 3U),
      flags(value,
            {{0x0800, ">TAbort"}, {0x1000, "<TAbort"}, {0x2000, "<MAbort"}, {0x4000, ">SERR"}, {0x8000, "<PERR"}}));
}

std::string bar_text(std::uint64_t value, bool is_io, bool is_64, std::uint64_t size) {
  if (is_io)
    return with_size(fmt::format("I/O ports at {:04x}", value & ~std::uint64_t{3}), size);
  return with_size(fmt::format("Memory at {:08x} ({}-bit, {})", value & ~std::uint64_t{0xf}, is_64 ? 64 : 32,
                               (value & bar_prefetches) != 0 ? "prefetchable" : "non-prefetchable"),
                   size);
}

void decode_bars(decoder& to, unsigned count) {
  for (unsigned index = 0; index < count; ++index) {
    const auto offset = reg::bar0 + 4U * index;
    const auto size = to.what().resources.at(index).size();
    const auto kind = to.layout(offset, 4);
    const bool is_io = (kind & bar_is_io) != 0;
    const bool is_64 = !is_io && (kind & 0x6U) == bar_is_64 && index + 1 < count;
    const auto name = fmt::format("Region {}", index);
    const auto value = to.value(offset, is_64 ? 8 : 4);
    if (size == 0 && kind == 0)
      to.add(offset, 4, name, value == 0 ? std::string{"not there"} : fmt::format("{:08x}", value));
    else
      to.add(offset, is_64 ? 8 : 4, name, bar_text(value, is_io, is_64, size));
    index += is_64 ? 1 : 0;
  }
}

void decode_rom(decoder& to, unsigned offset) {
  const auto size = to.what().resources.at(function::rom).size();
  const auto value = to.word(offset, 4);
  to.add(offset, 4, "Expansion ROM",
         size == 0 && value == 0 ? std::string{"not there"}
                                 : with_size(fmt::format("at {:08x} [{}]", value & reg::rom_address,
                                                         (value & 1U) != 0 ? "enabled" : "disabled"),
                                             size));
}

void decode_endpoint(decoder& to) {
  decode_bars(to, 6);
  to.add_number(reg::cardbus_cis, 4, "CardBus CIS");
  to.add(reg::subsystem, 4, "Subsystem",
         fmt::format("{:04x}:{:04x}", to.word(reg::subsystem, 2), to.word(reg::subsystem + 2, 2)));
  decode_rom(to, reg::rom_type0);
  to.add(reg::min_grant, 2, "Grant",
         fmt::format("Min_Gnt={} Max_Lat={}", to.word(reg::min_grant, 1), to.word(reg::min_grant + 1, 1)));
}

void decode_bridge(decoder& to) {
  decode_bars(to, 2);
  to.add(0x18, 4, "Bus",
         fmt::format("primary={:02x}, secondary={:02x}, subordinate={:02x}, sec-latency={}", to.word(0x18, 1),
                     to.word(0x19, 1), to.word(0x1a, 1), to.word(0x1b, 1)));
  const auto window = [&](unsigned offset) {
    return fmt::format("{:04x}0000-{:04x}ffff", to.word(offset, 2) & 0xfff0U, to.word(offset + 2, 2) | 0xfU);
  };
  to.add(0x1c, 2, "I/O behind bridge",
         fmt::format("{:02x}00-{:02x}ff", to.word(0x1c, 1) & 0xf0U, to.word(0x1d, 1) | 0xfU));
  to.add_number(0x1e, 2, "Secondary status");
  to.add(0x20, 4, "Memory behind bridge", window(0x20));
  to.add(0x24, 4, "Prefetchable behind bridge", window(0x24));
  to.add_number(0x28, 8, "Prefetchable, upper halves");
  to.add_number(0x30, 4, "I/O, upper halves");
  decode_rom(to, reg::rom_type1);
  to.add(0x3e, 2, "Bridge control",
         flags(to.word(0x3e, 2), {{0x01, "Parity"},
                                  {0x02, "SERR"},
                                  {0x04, "NoISA"},
                                  {0x08, "VGA"},
                                  {0x10, "VGA16"},
                                  {0x20, "MAbort"},
                                  {0x40, ">Reset"},
                                  {0x80, "FastB2B"}}));
}

std::string interrupt_text(unsigned pin, unsigned line) {
  return pin == 0   ? fmt::format("no pin, line {}", line)
         : pin <= 4 ? fmt::format("pin {}, line {}", static_cast<char>('A' + pin - 1), line)
                    : fmt::format("pin {:02x}, line {}", pin, line);
}

} // namespace

void decode_header(decoder& to) {
  to.begin(0, "Header");
  to.add(reg::vendor_id, 4, "Identity",
         fmt::format("{:04x}:{:04x}", to.word(reg::vendor_id, 2), to.word(reg::device_id, 2)));
  to.add(reg::command, 2, "Control",
         flags(to.word(reg::command, 2), {{0x001, "I/O"},
                                          {0x002, "Mem"},
                                          {0x004, "BusMaster"},
                                          {0x008, "SpecCycle"},
                                          {0x010, "MemWINV"},
                                          {0x020, "VGASnoop"},
                                          {0x040, "ParErr"},
                                          {0x080, "Stepping"},
                                          {0x100, "SERR"},
                                          {0x200, "FastB2B"},
                                          {0x400, "DisINTx"}}));
  to.add(reg::status, 2, "Status", status_text(to.word(reg::status, 2)));
  const auto kind = to.word(reg::class_revision, 4);
  to.add(reg::class_revision, 4, "Class", fmt::format("{:06x}, revision {:02x}", kind >> 8U, kind & 0xffU));
  to.add(reg::cache_line_size, 1, "Cache line", fmt::format("{} bytes", 4 * to.word(reg::cache_line_size, 1)));
  to.add(reg::latency_timer, 1, "Latency", fmt::format("{}", to.word(reg::latency_timer, 1)));
  const auto header = to.word(reg::header_type, 1);
  to.add(reg::header_type, 1, "Header type",
         fmt::format("{} {}", header & reg::header_layout, flags(header, {{reg::multifunction, "Multifunction"}})));
  to.add_number(reg::bist, 1, "BIST");
  const auto layout = to.what().header_layout();
  if (layout == 0)
    decode_endpoint(to);
  else if (layout == 1)
    decode_bridge(to);
  to.add_number(layout == 2 ? 0x14U : unsigned{reg::capabilities}, 1, "Capabilities");
  to.add(reg::interrupt_line, 2, "Interrupt",
         interrupt_text(to.word(reg::interrupt_pin, 1), to.word(reg::interrupt_line, 1)));
}

} // namespace pci::decoding
