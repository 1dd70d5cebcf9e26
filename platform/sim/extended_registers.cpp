// SPDX-License-Identifier: GPL-2.0-or-later
// What a simulated function lets be written in its extended capabilities, as the kernel or a permissive guest does it.
#include "pci/config_space/registers.hpp"
#include "platform/sim/device.hpp"

namespace platform::sim {

namespace reg = pci::reg;

namespace {

struct register_rule {
  std::uint16_t id;
  std::uint16_t offset;
  std::uint32_t writable;
  std::uint32_t clear; ///< by writing 1
  bool kept;           ///< saved and restored by dom0's kernel around its resets
};

// PCI Express Base 6.0, section 7: an endpoint's, as 32-bit registers.
constexpr register_rule rules[] = {
    {0x01, 0x04, 0, 0x07fff030, false}, // AER: uncorrectable status, mask, severity
    {0x01, 0x08, 0x07fff030, 0, true},  {0x01, 0x0c, 0x07fff030, 0, true},
    {0x01, 0x10, 0, 0x0000f1c1, false},                                    // correctable status, mask
    {0x01, 0x14, 0x0000f1c1, 0, true},  {0x01, 0x18, 0x00000140, 0, true}, // ECRC
    {0x02, 0x14, 0x870e00fe, 0, true},                                     // VC: the first channel
    {0x0b, 0x08, 0xffffffff, 0, false},                                    // a vendor's own
    {0x0d, 0x04, 0x007f0000, 0, true},                                     // ACS control
    {0x0e, 0x04, 0x00030000, 0, true},                                     // ARI control
    {0x0f, 0x04, 0x801f0000, 0, true},                                     // ATS control
    {0x13, 0x04, 0x00000001, 0, true},                                     // PRI control
    {0x18, 0x04, 0x1fff1fff, 0, true},                                     // LTR
    {0x1b, 0x04, 0x00070000, 0, true},                                     // PASID control
    {0x1e, 0x08, 0xe3ff000f, 0, true},                                     // L1 PM
    {0x1e, 0x0c, 0x000000fb, 0, true},  {0x1f, 0x08, 0x0000ff03, 0, true}, // PTM control
};

} // namespace

void device::allow_extended(std::uint16_t id, std::uint16_t base) {
  for (const auto& each : rules) {
    if (each.id != id || base + each.offset + 4U > config_.size())
      continue;
    const auto offset = static_cast<std::uint16_t>(base + each.offset);
    extended_.push_back({offset, each.writable, each.clear});
    if (each.kept)
      kept_.push_back({offset, 4});
  }
}

void device::allow_extended() {
  std::size_t at = config_.size() > reg::extended ? reg::extended : 0U;
  for (unsigned steps = 0; at >= reg::extended && at + 4 <= config_.size() && steps < 64; ++steps) {
    const auto header = read(at, 4);
    allow_extended(static_cast<std::uint16_t>(header), static_cast<std::uint16_t>(at));
    at = header >> 20 & 0xffcU;
  }
}

} // namespace platform::sim
