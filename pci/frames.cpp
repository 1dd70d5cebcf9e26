// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/frames.hpp"

#include <algorithm>

#include "pci/config_space/base_registers.hpp"
#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/registers.hpp"

namespace pci {
namespace {

constexpr unsigned frame_shift = 12;
constexpr std::uint64_t frame_size = 1U << frame_shift;

bool is_shown_memory(const resource& what) { return usable(what) && !what.is_io(); }

} // namespace

std::vector<std::uint64_t> partial_frames(const std::array<resource, 7>& resources) {
  std::vector<std::uint64_t> frames;
  for (const auto& each : resources) {
    if (!is_shown_memory(each)) {
      continue;
    }
    if (each.start % frame_size != 0) {
      frames.push_back(each.start >> frame_shift);
    }
    if (each.end % frame_size != frame_size - 1) {
      frames.push_back(each.end >> frame_shift);
    }
  }
  std::sort(frames.begin(), frames.end());
  frames.erase(std::unique(frames.begin(), frames.end()), frames.end());
  return frames;
}

std::optional<std::uint64_t> frame_of(const std::array<resource, 7>& resources,
                                      const std::vector<std::uint64_t>& frames) {
  for (const auto frame : frames) {
    const auto has = [frame](const resource& each) {
      return is_shown_memory(each) && each.start >> frame_shift <= frame && frame <= each.end >> frame_shift;
    };
    if (std::any_of(resources.begin(), resources.end(), has)) {
      return frame;
    }
  }
  return std::nullopt;
}

std::vector<frame_range> msix_frames(const function& function) {
  const auto msix = find_msix(function);
  if (!msix) {
    return {};
  }
  constexpr std::uint64_t entry_size = 16, pending_word = 8, pending_of_word = 64;
  std::vector<frame_range> frames;
  const auto add = [&](std::uint16_t reference, std::uint64_t size) {
    const auto where = function.copy(msix->offset + reference, 4);
    const auto bar = where & reg::msix_bir;
    if (bar >= function::rom || !is_shown_memory(function.resources.at(bar))) {
      return;
    }
    const auto start = function.resources.at(bar).start + (where & ~reg::msix_bir);
    const auto first = start >> frame_shift;
    frames.push_back({first, ((start + size - 1) >> frame_shift) - first + 1});
  };
  add(reg::msix_table, msix->table_size * entry_size);
  add(reg::msix_pba, (msix->table_size + pending_of_word - 1) / pending_of_word * pending_word);
  return frames;
}

} // namespace pci
