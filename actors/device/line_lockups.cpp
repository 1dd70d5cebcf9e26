// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/device/line_lockups.hpp"

namespace actors {

pci::result<void> line_lockups::forbid(platform::line_interrupts& lines, const pci::sbdf& function) {
  const std::lock_guard lock(mutex_);
  if (functions_.empty()) {
    const auto before = lines.gives_up_lines();
    if (!before) {
      return tl::unexpected(before.error());
    }
    if (auto set = lines.set_gives_up_lines(false); !set) {
      return set;
    }
    before_ = *before;
  }
  functions_.insert(function);
  return {};
}

pci::result<void> line_lockups::allow(platform::line_interrupts& lines, const pci::sbdf& function) {
  const std::lock_guard lock(mutex_);
  if (functions_.erase(function) == 0 || !functions_.empty()) {
    return {};
  }
  return lines.set_gives_up_lines(before_);
}

} // namespace actors
