// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/doorbell.hpp"

namespace platform::sim {

void doorbell::ring() {
  ++rings_;
  if (sleepers_ == 0)
    return;
  // The lock closes the gap between a sleeper's last look and its sleep.
  { std::lock_guard hold(mutex_); }
  changed_.notify_all();
}

bool doorbell::wait_until(const std::function<bool()>& condition, std::chrono::nanoseconds limit) {
  // Far-away limits would overflow the clock's arithmetic.
  const auto longest = std::chrono::nanoseconds(std::chrono::hours(24 * 365));
  const auto end = std::chrono::steady_clock::now() + std::min(limit, longest);
  ++sleepers_;
  bool holds = false;
  while (true) {
    const auto seen = rings_.load();
    holds = condition();
    if (holds || std::chrono::steady_clock::now() >= end)
      break;
    std::unique_lock hold(mutex_);
    changed_.wait_until(hold, end, [&] { return rings_ != seen; });
  }
  --sleepers_;
  return holds;
}

bool threaded_waiter::wait_until(const std::function<bool()>& condition, std::chrono::nanoseconds limit) {
  for (unsigned i = 0; i < spins_; ++i)
    if (condition())
      return true;
  return bell_->wait_until(condition, limit);
}

} // namespace platform::sim
