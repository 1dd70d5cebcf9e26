// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <chrono>

namespace pci {

/// When an access to configuration space may be done that a guest asks for and waits for: at once, until the guest has
/// used up what it may do at once; then it gets `rate` a second and no more, and rests for longer each time, so that
/// one that never stops costs few wake-ups. What it rests it earns: no guest gets less than its rate, for a frontend
/// waits with its interrupts off, and one unprivileged process in a guest can make it ask. A value; the time is handed
/// in, from any clock that does not go back.
class access_budget {
public:
  using duration = std::chrono::nanoseconds;

  /// Accesses a second: as many as a guest's thread does without a pause where a read takes 50 us, its event included.
  /// The scan of a bus with 256 functions, 300 accesses each, is within what may be done at once.
  static constexpr unsigned default_rate = 20000;
  static constexpr unsigned least_rate = 100, most_rate = 1000000;
  /// What may be done at once: as much as the rate lets pass in this time.
  static constexpr duration saved = std::chrono::seconds(5);
  /// The first rest, which doubles until the last.
  static constexpr duration shortest = std::chrono::milliseconds(1), longest = std::chrono::milliseconds(64);

  /// `rate`: from `least_rate` to `most_rate`.
  explicit access_budget(unsigned rate)
      : each_(duration(std::chrono::seconds(1)) / std::clamp(rate, least_rate, most_rate)) {}

  /// How long to rest before the access is done, 0 to `longest`; it counts as done then.
  [[nodiscard]] duration take(duration now) {
    used_ = std::max(used_, now);
    if (used_ - now <= saved / 2) {
      rest_ = shortest;
    }
    used_ += each_;
    if (used_ - now <= saved) {
      return duration{0};
    }
    const auto wait = std::clamp(rest_, std::min(used_ - now - saved, longest), longest);
    rest_ = std::min(rest_ * 2, longest);
    used_ = std::min(used_, now + wait + saved);
    return wait;
  }

private:
  duration each_;
  duration used_{0}; ///< until when what was done so far fills the time at the rate
  duration rest_ = shortest;
};

} // namespace pci
