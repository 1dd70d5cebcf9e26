// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>

#include <fmt/format.h>

#include "pci/config_space/decoder.hpp"

namespace pci::decoding {
namespace {

std::string type_text(unsigned flags_register) {
  const auto type = flags_register >> 4U & 0xfU;
  static constexpr std::array<std::string_view, 11> names{"Endpoint",
                                                          "Legacy Endpoint",
                                                          "type 2",
                                                          "type 3",
                                                          "Root Port",
                                                          "Upstream Port",
                                                          "Downstream Port",
                                                          "PCI/PCI-X Bridge",
                                                          "Express Bridge",
                                                          "Root Complex Endpoint",
                                                          "Root Complex Event Collector"};
  return type < names.size() ? std::string{names.at(type)} : fmt::format("type {}", type);
}

std::string speed_text(unsigned code) {
  static constexpr std::array<std::string_view, 7> speeds{"-",      "2.5GT/s", "5GT/s", "8GT/s",
                                                          "16GT/s", "32GT/s",  "64GT/s"};
  return code < speeds.size() ? std::string{speeds.at(code)} : fmt::format("code {}", code);
}

std::string aspm_text(unsigned code) {
  static constexpr std::array<std::string_view, 4> states{"off", "L0s", "L1", "L0s L1"};
  return std::string{states.at(code & 3U)};
}

unsigned bytes_of(unsigned code) { return 128U << (code & 7U); }

void decode_device(decoder& to, unsigned at) {
  const auto able = to.word(at + 4, 4), control = to.word(at + 8, 2), status = to.word(at + 10, 2);
  to.add(at + 4, 4, "DevCap",
         fmt::format("MaxPayload {} bytes, PhantFunc {}, {}", bytes_of(able), able >> 3U & 3U,
                     flags(able, {{0x20, "ExtTag"}, {0x8000, "RBE"}, {0x10000000, "FLReset"}})));
  to.add(at + 8, 2, "DevCtl",
         fmt::format("{}, MaxPayload {} bytes, MaxReadReq {} bytes",
                     flags(control, {{0x1, "CorrErr"},
                                     {0x2, "NonFatalErr"},
                                     {0x4, "FatalErr"},
                                     {0x8, "UnsupReq"},
                                     {0x10, "RlxdOrd"},
                                     {0x100, "ExtTag"},
                                     {0x200, "PhantFunc"},
                                     {0x400, "AuxPwr"},
                                     {0x800, "NoSnoop"},
                                     {0x8000, "FLReset"}}),
                     bytes_of(control >> 5U), bytes_of(control >> 12U)));
  to.add(at + 10, 2, "DevSta",
         flags(status, {{0x1, "CorrErr"},
                        {0x2, "NonFatalErr"},
                        {0x4, "FatalErr"},
                        {0x8, "UnsupReq"},
                        {0x10, "AuxPwr"},
                        {0x20, "TransPend"}}));
}

void decode_link(decoder& to, unsigned at) {
  const auto able = to.word(at + 12, 4), control = to.word(at + 16, 2), status = to.word(at + 18, 2);
  to.add(at + 12, 4, "LnkCap",
         fmt::format(
             "Port #{}, Speed {}, Width x{}, ASPM {}, {}", able >> 24U, speed_text(able & 0xfU), able >> 4U & 0x3fU,
             aspm_text(able >> 10U),
             flags(able, {{0x40000, "ClockPM"}, {0x80000, "Surprise"}, {0x100000, "LLActRep"}, {0x200000, "BwNot"}})));
  to.add(at + 16, 2, "LnkCtl",
         fmt::format("ASPM {}, {}", aspm_text(control),
                     flags(control, {{0x08, "RCB128"},
                                     {0x10, "Disabled"},
                                     {0x20, "Retrain"},
                                     {0x40, "CommClk"},
                                     {0x80, "ExtSynch"},
                                     {0x100, "ClockPM"},
                                     {0x200, "AutWidDis"},
                                     {0x400, "BWInt"},
                                     {0x800, "AutBWInt"}})));
  to.add(
      at + 18, 2, "LnkSta",
      fmt::format(
          "Speed {}, Width x{}, {}", speed_text(status & 0xfU), status >> 4U & 0x3fU,
          flags(
              status,
              {{0x800, "Train"}, {0x1000, "SlotClk"}, {0x2000, "DLActive"}, {0x4000, "BWMgmt"}, {0x8000, "ABWMgmt"}})));
}

void decode_second(decoder& to, unsigned at) {
  const auto able = to.word(at + 0x24, 4), control = to.word(at + 0x28, 2), link = to.word(at + 0x30, 2);
  to.add(at + 0x24, 4, "DevCap2",
         fmt::format("Timeout ranges {:x}, {}", able & 0xfU,
                     flags(able, {{0x10, "TimeoutDis"},
                                  {0x20, "ARIFwd"},
                                  {0x80, "32bitAtomic"},
                                  {0x100, "64bitAtomic"},
                                  {0x800, "LTR"},
                                  {0x10000, "10BitTagComp"}})));
  to.add(
      at + 0x28, 2, "DevCtl2",
      fmt::format(
          "Timeout {:x}, {}", control & 0xfU,
          flags(
              control,
              {{0x10, "TimeoutDis"}, {0x20, "ARIFwd"}, {0x40, "AtomicReq"}, {0x400, "LTR"}, {0x1000, "10BitTagReq"}})));
  to.add(at + 0x30, 2, "LnkCtl2",
         fmt::format("Target speed {}, {}", speed_text(link & 0xfU),
                     flags(link, {{0x10, "EnterCompliance"}, {0x20, "SpeedDis"}})));
}

} // namespace

void decode_express(decoder& to, unsigned at) {
  const auto about = to.word(at + 2, 2);
  to.add(at + 2, 2, "Flags",
         fmt::format("v{}, {}, {}, MSI {:02x}", about & 0xfU, type_text(about), flags(about, {{0x100, "Slot"}}),
                     about >> 9U & 0x1fU));
  const auto shape = to.layout(at + 2, 2);
  const auto type = shape >> 4U & 0xfU;
  decode_device(to, at);
  if (type != 9 && type != 10) // those within the root complex have no link
    decode_link(to, at);
  if ((shape & 0xfU) >= 2)
    decode_second(to, at);
}

} // namespace pci::decoding
