// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <optional>

namespace daemon_program {

/// When a worker that was ended by a signal is started again: at once, then after pauses that double, and not any more
/// after so many ends of which each came soon after the one before. Whoever started both processes starts them anew
/// then. A value; the time is handed in, from any clock that does not go back.
class restarts {
public:
  using duration = std::chrono::milliseconds;
  static constexpr unsigned most = 5;
  static constexpr duration first_pause{50};                ///< before the second start
  static constexpr duration calm = std::chrono::minutes(1); ///< a worker that lives for so long starts the count anew

  /// How long to wait after an end at `now`; empty: it is not started again.
  [[nodiscard]] std::optional<duration> next(duration now) {
    if (last_ && now - *last_ >= calm) {
      count_ = 0;
    }
    last_ = now;
    if (count_ == most) {
      return std::nullopt;
    }
    return count_++ == 0 ? duration{0} : first_pause * (1U << (count_ - 2));
  }
  /// How many starts again there were, one soon after the other.
  [[nodiscard]] unsigned count() const { return count_; }

private:
  std::optional<duration> last_;
  unsigned count_ = 0;
};

} // namespace daemon_program
