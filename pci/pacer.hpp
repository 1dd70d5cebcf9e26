// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace pci {

/// When something may be done that a guest asks for and waits for: at once while it asks rarely, later when it asks too
/// often, and never so late that it gives up. A value; the time is handed in, from any clock that does not go back.
class pacer {
public:
  using duration = std::chrono::nanoseconds;

  /// `burst`: how much may be done at once; then `rate` a second. `longest`: no answer waits for more than that.
  pacer(unsigned rate, unsigned burst, duration longest)
      : each_(std::chrono::nanoseconds(std::chrono::seconds(1)) / std::max(rate, 1U)), allowance_(each_ * burst),
        longest_(longest) {}

  /// The time that has to pass before it is done; it counts as done then. `cost`: what counts as one is 1.
  [[nodiscard]] duration take(duration now, unsigned cost = 1) {
    paid_ = std::max(paid_, now) + each_ * cost;
    const auto wait = std::clamp(paid_ - now - allowance_, duration{0}, longest_);
    paid_ = std::min(paid_, now + allowance_ + wait);
    return wait;
  }

private:
  duration each_;
  duration allowance_;
  duration longest_;
  duration paid_{0}; ///< until when what was done so far fills the time at the given rate
};

} // namespace pci
