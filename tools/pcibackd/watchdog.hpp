// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "actors/look/pulse.hpp"

namespace daemon_program {

/// The first of these that has to answer soon whatever it is asked, and has not for longer than `patience`; empty: all
/// do. One that does slow work on hardware or waits for xenstored is none of them: a daemon that is started again would
/// have to wait as well.
[[nodiscard]] std::string first_silent(const std::vector<actors::actor_account>& all,
                                       std::chrono::nanoseconds patience);

/// Tells the service manager again and again that the daemon works, but only while its actors answer: one that hangs is
/// then started again. On a thread of its own, until it is destroyed.
class watchdog {
public:
  using duration = std::chrono::microseconds;
  /// Names an actor that has not answered within `patience`; empty: all have.
  using look = std::function<std::string(duration patience)>;

  /// `timeout`: the daemon is ended when it has told nothing for so long. It tells four times in that.
  watchdog(duration timeout, look silent, std::function<void()> tell);
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;
  ~watchdog();

private:
  void run();
  void look_and_tell();

  const duration timeout_;
  const look silent_;
  const std::function<void()> tell_;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::string last_;   ///< the thread's own: who did not answer
  std::thread thread_; ///< begins when all else is there
};

} // namespace daemon_program
