// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>

#include "pci/config_space/decoder.hpp"

namespace pci::decoding {
namespace {

std::string uncorrectable_text(std::uint32_t value) {
  return flags(value, {{0x10, "DLP"},
                       {0x20, "SDES"},
                       {0x1000, "TLP"},
                       {0x2000, "FCP"},
                       {0x4000, "CmpltTO"},
                       {0x8000, "CmpltAbrt"},
                       {0x10000, "UnxCmplt"},
                       {0x20000, "RxOF"},
                       {0x40000, "MalfTLP"},
                       {0x80000, "ECRC"},
                       {0x100000, "UnsupReq"},
                       {0x200000, "ACSViol"}});
}

std::string correctable_text(std::uint32_t value) {
  return flags(value, {{0x1, "RxErr"},
                       {0x40, "BadTLP"},
                       {0x80, "BadDLLP"},
                       {0x100, "Rollover"},
                       {0x1000, "Timeout"},
                       {0x2000, "AdvNonFatalErr"}});
}

void decode_errors(decoder& to, unsigned at) {
  to.add(at + 4, 4, "UESta", uncorrectable_text(to.word(at + 4, 4)));
  to.add(at + 8, 4, "UEMsk", uncorrectable_text(to.word(at + 8, 4)));
  to.add(at + 12, 4, "UESvrt", uncorrectable_text(to.word(at + 12, 4)));
  to.add(at + 16, 4, "CESta", correctable_text(to.word(at + 16, 4)));
  to.add(at + 20, 4, "CEMsk", correctable_text(to.word(at + 20, 4)));
  const auto control = to.word(at + 24, 4);
  to.add(at + 24, 4, "AERCap",
         fmt::format(
             "First Error Pointer {:02x}, {}", control & 0x1fU,
             flags(control, {{0x20, "ECRCGenCap"}, {0x40, "ECRCGenEn"}, {0x80, "ECRCChkCap"}, {0x100, "ECRCChkEn"}})));
  for (unsigned word = 0; word < 4; ++word)
    to.add_number(at + 28 + 4 * word, 4, fmt::format("HeaderLog {}", word));
}

void decode_serial(decoder& to, unsigned at) {
  std::string text;
  for (unsigned byte = 8; byte-- > 0;)
    text += fmt::format("{}{:02x}", text.empty() ? "" : "-", to.word(at + 4 + byte, 1));
  to.add(at + 4, 8, "Number", text);
}

void decode_access_control(decoder& to, unsigned at) {
  for (const unsigned offset : {4U, 6U})
    to.add(at + offset, 2, offset == 4 ? "ACSCap" : "ACSCtl",
           flags(to.word(at + offset, 2), {{0x01, "SrcValid"},
                                           {0x02, "TransBlk"},
                                           {0x04, "ReqRedir"},
                                           {0x08, "CmpltRedir"},
                                           {0x10, "UpstreamFwd"},
                                           {0x20, "EgressCtrl"},
                                           {0x40, "DirectTrans"}}));
}

void decode_virtual_functions(decoder& to, unsigned at) {
  to.add(at + 8, 2, "IOVCtl",
         flags(to.word(at + 8, 2),
               {{0x01, "Enable"}, {0x02, "Migration"}, {0x04, "Interrupt"}, {0x08, "MSE"}, {0x10, "ARIHierarchy"}}));
  to.add(at + 0xc, 8, "VFs",
         fmt::format("Initial {}, Total {}, Number {}, Function dependency {:02x}", to.word(at + 0xc, 2),
                     to.word(at + 0xe, 2), to.word(at + 0x10, 2), to.word(at + 0x12, 1)));
  to.add(at + 0x14, 4, "VF place", fmt::format("offset {}, stride {}", to.word(at + 0x14, 2), to.word(at + 0x16, 2)));
  to.add(at + 0x1a, 2, "VF device", fmt::format("{:04x}", to.word(at + 0x1a, 2)));
}

std::string latency_text(std::uint32_t value) {
  return fmt::format("{} ns", std::uint64_t{value & 0x3ffU} << (5 * (value >> 10U & 7U)));
}

} // namespace

// Registers of those that are not here are told by their numbers where they differ.
void decode_extended(decoder& to, unsigned id, unsigned at) {
  switch (id) {
  case 0x01:
    return decode_errors(to, at);
  case 0x03:
    return decode_serial(to, at);
  case 0x0d:
    return decode_access_control(to, at);
  case 0x0e:
    to.add(at + 4, 2, "ARICap",
           fmt::format("{}, Next Function {}", flags(to.word(at + 4, 2), {{0x1, "MFVC"}, {0x2, "ACS"}}),
                       to.word(at + 5, 1)));
    return to.add(at + 6, 2, "ARICtl", flags(to.word(at + 6, 2), {{0x1, "MFVC"}, {0x2, "ACS"}}));
  case 0x0f:
    to.add(at + 4, 2, "ATSCap", fmt::format("Invalidate Queue Depth {:02x}", to.word(at + 4, 2) & 0x1fU));
    return to.add(at + 6, 2, "ATSCtl",
                  fmt::format("{}, Smallest Translation Unit {:02x}", flags(to.word(at + 6, 2), {{0x8000, "Enable"}}),
                              to.word(at + 6, 2) & 0x1fU));
  case 0x10:
    return decode_virtual_functions(to, at);
  case 0x18:
    to.add(at + 4, 2, "Max snoop latency", latency_text(to.word(at + 4, 2)));
    return to.add(at + 6, 2, "Max no-snoop latency", latency_text(to.word(at + 6, 2)));
  case 0x1b:
    return to.add(at + 6, 2, "PASIDCtl", flags(to.word(at + 6, 2), {{0x1, "Enable"}, {0x2, "Exec"}, {0x4, "Priv"}}));
  case 0x0b: {
    const auto header = to.word(at + 4, 4);
    return to.add(
        at + 4, 4, "Header",
        fmt::format("ID {:04x}, revision {}, {} bytes", header & 0xffffU, header >> 16U & 0xfU, header >> 20U));
  }
  default:
    return;
  }
}

} // namespace pci::decoding
