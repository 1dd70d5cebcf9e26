// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <mutex>
#include <optional>
#include <set>

#include "platform/pci_host.hpp"

namespace actors {

/// Has dom0's kernel give up no line while any function needs that (the policy noirqdebug), and puts back what was
/// there when none does any more. One for the whole daemon. Thread-safe.
class line_lockups {
public:
  /// `function` needs it from now on.
  [[nodiscard]] pci::result<void> forbid(platform::line_interrupts& lines, const pci::sbdf& function);
  /// It does not any more; nothing when it did not.
  [[nodiscard]] pci::result<void> allow(platform::line_interrupts& lines, const pci::sbdf& function);

private:
  std::mutex mutex_;
  std::set<pci::sbdf> functions_;
  bool before_ = true; ///< what was there when the first function came
};

} // namespace actors
