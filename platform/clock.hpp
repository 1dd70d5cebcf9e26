// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>

namespace platform {

/// Monotonic time, for latencies and rate limits. The simulated host's stands still until told otherwise.
class clock {
public:
  using duration = std::chrono::nanoseconds;
  virtual ~clock() = default;
  /// Time since an arbitrary fixed point.
  [[nodiscard]] virtual duration now() const = 0;
};

} // namespace platform
