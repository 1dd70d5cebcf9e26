// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <memory>

#include "pci/result.hpp"
#include "platform/descriptor.hpp"

namespace platform::linux_host {

/// Tells that dom0 was asleep, by what the kernel does to clocks then: it sets the time of day, which ends the wait of
/// a timer that asks for that (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET), and CLOCK_BOOTTIME has gone on where
/// CLOCK_MONOTONIC stood still (clock_gettime(2)). Nothing is asked while nothing happens.
class sleep_watch {
public:
  [[nodiscard]] static pci::result<std::unique_ptr<sleep_watch>> open();

  /// Readable when the time of day was set, by the end of a sleep or by somebody.
  [[nodiscard]] int descriptor() const { return timer_.get(); }
  /// Makes it unreadable again. True: it was a sleep.
  [[nodiscard]] bool slept();

  /// Whether the time that the host has slept in all has grown by more than what reading two clocks takes.
  [[nodiscard]] static bool has_slept(std::chrono::nanoseconds before, std::chrono::nanoseconds now) {
    return now - before > std::chrono::milliseconds(10);
  }

private:
  explicit sleep_watch(platform::descriptor timer);
  [[nodiscard]] static pci::result<void> arm(int timer);
  [[nodiscard]] static std::chrono::nanoseconds asleep_in_all();

  platform::descriptor timer_;
  std::chrono::nanoseconds asleep_;
};

} // namespace platform::linux_host
