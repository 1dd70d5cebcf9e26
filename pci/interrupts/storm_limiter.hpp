// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>

namespace pci {

/// Bounds how often a masked interrupt line is let through again, so that a function that raises its line without end
/// does not eat dom0. A value; the time is handed in, from any clock that does not go back.
///
/// At most `per_second` / 100 pass in a window of 10 ms. Each window that is full is followed by a pause, the first of
/// 10 ms, each next one twice as long, up to a second. One window that does not fill ends the storm. (Xen itself bounds
/// a line at 10,000 in 10 ms, which no daemon's round trip reaches.)
class storm_limiter {
public:
  using duration = std::chrono::nanoseconds;
  static constexpr duration window{std::chrono::milliseconds{10}};
  static constexpr duration longest_pause{std::chrono::seconds{1}};
  static constexpr unsigned default_rate = 20000;

  /// `per_second`: 100 and more; what is less counts as 100.
  explicit storm_limiter(unsigned per_second = default_rate);

  /// One wants to pass. Returns zero when it may at once, otherwise for how long the line is to stay masked from now
  /// on. Until then nothing passes.
  [[nodiscard]] duration pass(duration now);
  /// What is left of a pause.
  [[nodiscard]] duration left(duration now) const;
  /// In a pause, or after one and not yet known to be over.
  [[nodiscard]] bool storming(duration now) const;
  /// How often a storm has begun.
  [[nodiscard]] std::uint64_t storms() const { return storms_; }

private:
  unsigned limit_;
  unsigned passed_ = 0; ///< in this window
  duration begun_{0};   ///< the window
  duration until_{0};   ///< the pause
  duration pause_{0};   ///< how long the last one was; 0: no storm
  bool trial_ = false;  ///< the next window shows whether the storm is over
  std::uint64_t storms_ = 0;
};

} // namespace pci
