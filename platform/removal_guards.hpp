// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

#include "pci/address.hpp"
#include "pci/protocol/guard_state.hpp"
#include "pci/result.hpp"

namespace platform {

/// Holds removals of PCI functions from dom0 up. dom0's kernel tells Xen of a removal before anybody else can act on
/// it, and Xen then destroys the interrupts of MSI and MSI-X: what touches one of these afterwards, the guest's close
/// of its event channel or an unmap, ends in a panic of the host. A removal that waits is told by
/// `event_sink::removal_waits`. Guards outlive the daemon. Safe from any thread.
class removal_guards {
public:
  removal_guards() = default;
  removal_guards(const removal_guards&) = delete;
  removal_guards& operator=(const removal_guards&) = delete;
  virtual ~removal_guards() = default;

  /// Returns when removals wait, or why they will not; then it is tried again by itself for as long as it is wanted.
  /// Blocks, some milliseconds mostly. ENOTSUP: the kernel has no means.
  [[nodiscard]] virtual pci::result<void> arm(const pci::sbdf& address) = 0;
  /// Lets the removal go on that waits, if one does, and all later ones. Blocks likewise. No error when none is armed.
  virtual void release(const pci::sbdf& address) = 0;
  /// The function's driver was unbound: perhaps a removal is about to wait. Quick.
  virtual void look(const pci::sbdf& address) = 0;
  /// Quick.
  [[nodiscard]] virtual pci::guard_state state(const pci::sbdf& address) const = 0;
  /// The functions that have a guard, those of an earlier instance included.
  [[nodiscard]] virtual std::vector<pci::sbdf> guarded() const = 0;
};

} // namespace platform
