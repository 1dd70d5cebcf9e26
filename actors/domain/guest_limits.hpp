#pragma once

#include <chrono>

#include "actors/guest_log.hpp"
#include "pci/rate_limit.hpp"

namespace actors {

/// What one guest may cause in a time. Root's, one for each guest: a guest can end its domain actor as often as it
/// likes, by a state that is none, and must not be given a new measure with each.
struct guest_limits {
  explicit guest_limits(const platform::clock& time) : time_(&time) {
    log.use(time);
    recovery_log.use(time);
  }

  /// True: the guest's nodes may be looked at now. A guest can write them as fast as xenstored lets it; no orderly
  /// handshake needs more looks than 100 a second.
  [[nodiscard]] bool allow_look() { return looks_.allow(time_->now()).has_value(); }

  /// True: the guest may be connected now: a page mapped, a channel bound, its functions' interrupts ended.
  [[nodiscard]] bool allow_connection() { return connections_.allow(time_->now()).has_value(); }

  guest_log log;
  guest_log recovery_log; ///< why a guest is stopped, which the lines of what it did before do not crowd out

private:
  const platform::clock* time_;
  pci::rate_limit looks_{100, std::chrono::milliseconds(10)};
  pci::rate_limit connections_{20, std::chrono::milliseconds(500)};
};

} // namespace actors
