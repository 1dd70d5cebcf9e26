// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <mutex>

#include "actors/guest_log.hpp"
#include "pci/access_budget.hpp"
#include "pci/pacer.hpp"
#include "pci/rate_limit.hpp"

namespace actors {

/// What one guest may cause in a time. Root's, one for each guest: a guest can end its domain actor as often as it
/// likes, by a state that is none, and must not be given a new measure with each.
struct guest_limits {
  /// A second: `interrupt_rate`, operations that switch MSI or MSI-X; `access_rate`, all others.
  guest_limits(const platform::clock& time, unsigned interrupt_rate, unsigned access_rate)
      : time_(&time), interrupts_(interrupt_rate, interrupts_at_once, longest_pause), accesses_(access_rate) {
    log.use(time);
    recovery_log.use(time);
  }

  /// Other rates from now on. Safe from any thread.
  void set_rates(unsigned interrupt_rate, unsigned access_rate) {
    const std::lock_guard lock(budget_mutex_);
    interrupts_ = pci::pacer(interrupt_rate, interrupts_at_once, longest_pause);
    accesses_ = pci::access_budget(access_rate);
  }

  /// True: the guest's nodes may be looked at now. A guest can write them as fast as xenstored lets it; no orderly
  /// handshake needs more looks than 100 a second.
  [[nodiscard]] bool allow_look() { return looks_.allow(time_->now()).has_value(); }

  /// True: the guest may be connected now: a page mapped, a channel bound, its functions' interrupts ended.
  [[nodiscard]] bool allow_connection() { return connections_.allow(time_->now()).has_value(); }

  /// How long an operation that switches MSI or MSI-X with so many vectors is put off: each is a hypercall a vector, a
  /// record in the journal and some accesses to the configuration space, which guests and dom0 share. No driver that
  /// works well comes near the limit, and none gives up on an operation so soon: Linux waits for 2 s. Safe from any
  /// thread.
  [[nodiscard]] std::chrono::nanoseconds pause_before_interrupts(std::size_t vectors) {
    const std::lock_guard lock(budget_mutex_);
    return interrupts_.take(time_->now(), 1 + static_cast<unsigned>(vectors / vectors_as_one));
  }

  /// How long an access to configuration space is put off, of a function or of none: no driver's load comes near the
  /// limit. Safe from any thread.
  [[nodiscard]] std::chrono::nanoseconds pause_before_access() {
    const std::lock_guard lock(budget_mutex_);
    return accesses_.take(time_->now());
  }

  bool known =
      false; ///< this daemon has looked at the guest before: nothing of an earlier one's is left to be taken over
  guest_log log;
  guest_log recovery_log; ///< why a guest is stopped, which the lines of what it did before do not crowd out

private:
  static constexpr unsigned interrupts_at_once = 100;
  static constexpr std::size_t vectors_as_one = 16;
  static constexpr std::chrono::milliseconds longest_pause{500};

  const platform::clock* time_;
  std::mutex budget_mutex_; ///< of what follows: the thread of a connection that ends may have an operation still
  pci::pacer interrupts_;
  pci::access_budget accesses_;
  pci::rate_limit looks_{100, std::chrono::milliseconds(10)};
  pci::rate_limit connections_{20, std::chrono::milliseconds(500)};
};

} // namespace actors
