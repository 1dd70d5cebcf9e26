// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <mutex>
#include <shared_mutex>

#include "platform/host.hpp"

namespace platform::sim {

/// The way to the daemon's event sink. Events are delivered by the thread that causes them; `close` waits for those
/// under way, and none comes after it.
class delivery {
public:
  /// Calls `tell` with the sink; false when the host has not been started.
  template <class Tell>
  bool send(Tell&& tell) {
    std::shared_lock hold(mutex_);
    if (sink_ == nullptr)
      return false;
    tell(*sink_);
    return true;
  }
  /// False when it was open.
  bool open(event_sink& sink) {
    std::unique_lock hold(mutex_);
    if (sink_ != nullptr)
      return false;
    sink_ = &sink;
    return true;
  }
  void close() {
    std::unique_lock hold(mutex_);
    sink_ = nullptr;
  }

private:
  std::shared_mutex mutex_;
  event_sink* sink_ = nullptr;
};

} // namespace platform::sim
