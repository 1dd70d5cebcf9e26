// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/interrupts/storm_limiter.hpp"

#include <algorithm>

namespace pci {
namespace {

constexpr unsigned windows_a_second = 100;
static_assert(storm_limiter::window * windows_a_second == std::chrono::seconds{1});

} // namespace

storm_limiter::storm_limiter(unsigned per_second) : limit_(std::max(1U, per_second / windows_a_second)) {}

storm_limiter::duration storm_limiter::left(duration now) const { return std::max(duration{0}, until_ - now); }

bool storm_limiter::storming(duration now) const {
  return pause_ > duration{0} && now < (trial_ ? until_ + longest_pause : begun_ + window);
}

storm_limiter::duration storm_limiter::pass(duration now) {
  if (const auto rest = left(now); rest > duration{0}) {
    return rest;
  }
  if (passed_ == 0 || now - begun_ >= window) {
    if (!storming(now)) {
      pause_ = duration{0};
    }
    // The window on trial begins with the first that passes: the caller's timer may be late.
    trial_ = false;
    begun_ = now;
    passed_ = 0;
  }
  if (passed_ < limit_) {
    ++passed_;
    return duration{0};
  }
  storms_ += pause_ == duration{0} ? 1 : 0;
  pause_ = pause_ == duration{0} ? window : std::min(2 * pause_, longest_pause);
  until_ = now + pause_;
  trial_ = true;
  passed_ = 0;
  return pause_;
}

} // namespace pci
