// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>

#include "actors/look/happenings.hpp"
#include "actors/look/operation_meter.hpp"
#include "actors/look/trace.hpp"

namespace actors {

/// How long scrubs take, from the end of the guest's hold on the function until it is known how it went.
class scrub_meter {
public:
  /// Upper ends of the classes, in seconds; there is one more without an end.
  static constexpr std::array<double, 11> ends{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60};
  struct counts {
    std::array<std::uint64_t, ends.size() + 1> times{}; ///< not cumulative
    double taken = 0;                                   ///< seconds, all together
  };
  struct outcomes {
    counts clean;
    counts failed;
  };

  void ended(bool clean, std::chrono::nanoseconds time);
  [[nodiscard]] outcomes count() const {
    const std::lock_guard lock(mutex_);
    return outcomes_;
  }

private:
  mutable std::mutex mutex_;
  outcomes outcomes_;
};

/// What is counted and told of the running daemon beside its work. Thread-safe.
struct observation {
  operation_meters operations;
  scrub_meter scrubs;
  happenings events;
  trace_hub traces;
};

} // namespace actors
