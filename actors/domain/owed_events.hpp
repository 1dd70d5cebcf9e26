// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "actors/domain/connection.hpp"
#include "actors/domain/guest_thread.hpp"

namespace actors {

/// Sends the events that were left out (pci/late_events.hpp) to guests that have not gone on without them. One thread
/// for all guests, which sleeps while none is owed, and looks less often while guests go on without; the guests' own
/// threads wait for their channels then.
class owed_events {
public:
  using duration = std::chrono::milliseconds;
  /// An event is owed for one to two periods at most. Where one was sent, or none was owed, the shortest is the next;
  /// otherwise it is twice as long.
  static constexpr duration shortest{25}, longest{100};

  owed_events() = default;
  owed_events(const owed_events&) = delete;
  owed_events& operator=(const owed_events&) = delete;
  ~owed_events();

  /// Before the first guest. EAGAIN: no thread can be made.
  [[nodiscard]] pci::result<void> start();
  void enter(std::shared_ptr<connection> guest);
  /// Nothing of it is used or kept from here on.
  void leave(const connection& guest);
  /// One of them has an answer without its event.
  void owe();

private:
  void run();
  void look();

  std::atomic<bool> any_{false}; ///< may be owed
  duration period_ = shortest;
  bool stopping_ = false;
  std::mutex mutex_; ///< of what is not the thread's own; held for moments
  std::condition_variable changed_;
  std::vector<std::shared_ptr<connection>> guests_;
  std::optional<guest_thread> thread_; ///< joined first
};

} // namespace actors
