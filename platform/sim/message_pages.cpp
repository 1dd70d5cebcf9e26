// SPDX-License-Identifier: GPL-2.0-or-later
// The pages of MSI-X structures, which Xen lets nobody map writable while a function is prepared. It looks when an
// entry of a page table is made (l1_disallow_mask and mmio_ro_ranges in xen/arch/x86/mm.c), and never again.
#include <algorithm>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "platform/sim/hypervisor.hpp"
#include "platform/sim/violation.hpp"

namespace platform::sim {

namespace reg = pci::reg;

std::vector<std::uint64_t> hypervisor::message_frames(const device& hardware) {
  constexpr unsigned frame_shift = 12;
  const std::uint64_t entries = (hardware.msix_control() & reg::msix_table_size) + 1U;
  std::vector<std::uint64_t> frames;
  for (const auto& [from, length] :
       {std::pair{reg::msix_table, entries * 16}, std::pair{reg::msix_pba, (entries + 63) / 64 * 8}}) {
    const auto place = hardware.read(std::size_t{hardware.msix()} + from, 4);
    const unsigned bar = place & reg::msix_bir;
    if (bar >= pci::function::rom)
      continue;
    const auto start = hardware.model().resources.at(bar).start + (place & ~reg::msix_bir);
    for (auto frame = start >> frame_shift; frame <= (start + length - 1) >> frame_shift; ++frame)
      frames.push_back(frame);
  }
  return frames;
}

void hypervisor::check_window(const function_state& function, const std::string& where) const {
  const auto frames = message_frames(function.hardware);
  for (const auto& [id, domain] : domains_) {
    const auto& who = domain; // clang 14 captures no binding
    if (who.dying || who.shutdown || who.paused)
      continue;
    if (std::any_of(frames.begin(), frames.end(), [&](auto frame) { return who.memory.contains(frame); }))
      violation(fmt::format("{}: domain {} runs and can map its MSI-X table writable, for good", where, id));
  }
}

bool hypervisor::map_writable(domain_id domain, std::uint64_t frame) const {
  std::lock_guard hold(mutex_);
  const auto who = domains_.find(domain);
  const auto protects = [frame](const auto& entry) {
    const auto frames = message_frames(entry.second->hardware);
    return entry.second->prepared && std::find(frames.begin(), frames.end(), frame) != frames.end();
  };
  return who != domains_.end() && who->second.memory.contains(frame) &&
         std::none_of(functions_.begin(), functions_.end(), protects);
}

} // namespace platform::sim
