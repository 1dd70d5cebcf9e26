// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest meets in the pages in which MSI-X structures lie: Xen has them in mmio_ro_ranges from prepare_msix on.
#include "platform/sim/guest_memory.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"

namespace platform::sim {
namespace {

namespace reg = pci::reg;

constexpr unsigned frame_shift = 12;

/// The walk of pci_find_cap_offset; 0: there is none.
unsigned msix_of(const pci::function& function) {
  auto at = function.copy(reg::capabilities, 1) & 0xfcU;
  for (unsigned steps = 0; at >= reg::first_capability && steps < 48; ++steps) {
    if (function.copy(at, 1) == reg::cap_msix)
      return at;
    at = function.copy(at + 1, 1) & 0xfcU;
  }
  return 0;
}

/// Xen believes the registers: it knows no BAR's size.
bool lies_in(const pci::function& function, std::uint32_t place, std::uint64_t length, std::uint64_t frame) {
  const unsigned bar = place & reg::msix_bir;
  if (bar >= pci::function::rom)
    return false;
  const auto first = function.resources.at(bar).start + (place & ~reg::msix_bir);
  return frame >= first >> frame_shift && frame <= (first + length - 1) >> frame_shift;
}

} // namespace

bool is_read_only(host& host, std::uint64_t frame) {
  for (const auto& address : host.xen().functions()) {
    const auto facts = host.xen().facts(address);
    const auto function = host.pci().describe(address);
    const auto at = facts && facts->prepared && function ? msix_of(*function) : 0;
    if (at == 0)
      continue;
    const std::uint64_t entries = (function->copy(at + reg::message_control, 2) & reg::msix_table_size) + 1U;
    if (lies_in(*function, function->copy(at + reg::msix_table, 4), entries * 16, frame) ||
        lies_in(*function, function->copy(at + reg::msix_pba, 4), (entries + 63) / 64 * 8, frame))
      return true;
  }
  return false;
}

pci::result<void> guest_write(host& host, domain_id domain, std::uint64_t address) {
  const auto where = fmt::format("domain {} writes to {:x}", domain, address);
  if (!host.xen().may_access(domain, address >> frame_shift))
    return pci::fail(EPERM, where + ", which it may not map");
  if (is_read_only(host, address >> frame_shift))
    return pci::fail(EFAULT, where + ": a page fault, for Xen let it be mapped for reading only");
  return {};
}

} // namespace platform::sim
