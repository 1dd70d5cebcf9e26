// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>

#include "platform/clock.hpp"

namespace platform::sim {

/// The simulated host's time: that of the machine, or one that stands still until it is told to go on.
class clock final : public platform::clock {
public:
  enum class kind : std::uint8_t { real, manual };
  explicit clock(kind how = kind::manual) : kind_(how) {}

  [[nodiscard]] duration now() const override {
    return kind_ == kind::manual ? duration(manual_.load())
                                 : duration(std::chrono::steady_clock::now().time_since_epoch());
  }
  /// Lets a manual clock go on; does nothing to a real one.
  void advance(duration by) { manual_ += by.count(); }
  [[nodiscard]] bool is_manual() const { return kind_ == kind::manual; }

private:
  kind kind_;
  std::atomic<duration::rep> manual_{0};
};

} // namespace platform::sim
