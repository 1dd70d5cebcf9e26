// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include "platform/removal_guards.hpp"

namespace platform::sim {

/// Removal guards, of which the simulated kernel asks whether a removal has to wait. They outlive the daemon.
class removal_guards final : public platform::removal_guards {
public:
  /// `released`: called, outside of every lock, when a guard is gone.
  explicit removal_guards(std::function<void()> released) : released_(std::move(released)) {}

  pci::result<void> arm(const pci::sbdf& address) override;
  void release(const pci::sbdf& address) override;
  void look(const pci::sbdf& /*address*/) override {}
  pci::guard_state state(const pci::sbdf& address) const override;
  std::vector<pci::sbdf> guarded() const override;

  /// The kernel is about to tell Xen that the function goes. True: it has to wait.
  [[nodiscard]] bool hold_up(const pci::sbdf& address);
  /// The kernel has no means for guards: none that is armed from now on is.
  void set_possible(bool possible);
  /// Their keeper ends, and all guards with it.
  void lose();
  /// Nobody watches, and each removal that waits has waited for as long as may be: it goes on.
  void let_go();

private:
  std::function<void()> released_;
  mutable std::mutex mutex_;
  std::map<pci::sbdf, pci::guard_state> guards_;
  bool possible_ = true;
};

} // namespace platform::sim
