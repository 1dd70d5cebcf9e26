// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>

namespace platform::sim {

/// What wakes a simulated guest: rung for each event, interrupt and watch event of that guest. Ringing costs no system
/// call while nobody sleeps.
class doorbell {
public:
  void ring();
  /// Sleeps until `condition` holds, looking again after each ring; false when `limit` passed first.
  bool wait_until(const std::function<bool()>& condition, std::chrono::nanoseconds limit);

private:
  std::atomic<std::uint64_t> rings_{0};
  std::atomic<unsigned> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
};

/// How a guest waits. Its frontend is written as if it blocked; a test that runs everything in one thread gives a
/// waiter that runs the rest of the world until the condition holds.
class waiter {
public:
  waiter() = default;
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;
  virtual ~waiter() = default;
  /// Returns true as soon as `condition` holds, false when `limit` has passed on the host's clock before.
  virtual bool wait_until(const std::function<bool()>& condition, std::chrono::nanoseconds limit) = 0;
};

/// Waits in the calling thread: spins for a moment, since an answer often comes within microseconds, then sleeps on the
/// doorbell. Needs a real clock.
class threaded_waiter final : public waiter {
public:
  explicit threaded_waiter(doorbell& bell, unsigned spins = 200) : bell_(&bell), spins_(spins) {}
  bool wait_until(const std::function<bool()>& condition, std::chrono::nanoseconds limit) override;

private:
  doorbell* bell_;
  unsigned spins_;
};

} // namespace platform::sim
