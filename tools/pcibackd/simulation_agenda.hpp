// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

namespace daemon_program {

/// What is to be done on a simulated host, at once or later, by the one thread that waits here. All may add to it.
class simulation_agenda {
public:
  using clock = std::chrono::steady_clock;
  using job = std::function<void()>;

  void add(job what, std::chrono::milliseconds in = {});
  /// The next job that is due, waited for. Empty: somebody has woken the thread, or it is to end.
  [[nodiscard]] std::optional<job> next();
  /// The thread looks around.
  void wake();
  /// The thread is to end: jobs that are left are forgotten, and new ones refused.
  void end();
  [[nodiscard]] bool ended() const;

private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<clock::time_point, job> jobs_;
  bool woken_ = false, ended_ = false;
};

} // namespace daemon_program
