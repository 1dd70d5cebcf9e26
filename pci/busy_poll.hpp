// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <chrono>
#include <utility>

namespace pci {

/// Whether it pays to look for a guest's next operation for a moment after an answer, before its event is waited for:
/// an event costs two switches between domains and the waking of a thread, which is most of what a configuration read
/// takes. A guest that scans a bus asks again within microseconds; one that does not is not looked for. After the
/// manner of KVM's halt polling and vhost's busy polling.
///
/// A value; times are handed in, from a clock that does not go back.
class busy_poll {
public:
  using duration = std::chrono::nanoseconds;

  struct limits {
    duration longest = std::chrono::microseconds(200); ///< one look; 0: never
    unsigned share = 5;                                ///< of a processor, for one guest, in percent; 0: never
    [[nodiscard]] bool any() const { return share != 0 && longest > longest.zero(); }
  };
  /// Operations follow closely that come within this time of the answer before them. It includes what waking takes.
  static constexpr duration near = std::chrono::milliseconds(1);
  /// The first look's time, if it may be as long. Twice as much where the operation came closely after one in vain.
  static constexpr duration first = std::chrono::microseconds(50);
  /// So many closely following ones are wanted before the first look, and twice as many after each look in vain that
  /// was as long as it may be.
  static constexpr unsigned fewest = 2, most = 256;
  /// What a guest may have saved up of its share: the scan of a bus or two.
  static constexpr duration savings = std::chrono::milliseconds(250);

  explicit busy_poll(limits most_of) : limits_(most_of) {}

  /// An event brought an operation, so long after the last answer.
  void woken(duration after_answer) {
    const bool follows = after_answer <= near;
    const bool longer = follows && window_ < limits_.longest;
    if (!std::exchange(in_vain_, false)) {
      close_ = follows ? std::min(close_ + 1, most) : 0;
    } else if (longer) {
      window_ = std::min(2 * window_, limits_.longest);
      close_ = wanted_;
    } else {
      close_ = follows ? 1 : 0;
      wanted_ = std::min(wanted_ * 2, most);
    }
    if (!follows) {
      window_ = std::min(first, limits_.longest);
    }
  }

  /// Whether the next one is to be looked for, if there is time left.
  [[nodiscard]] bool looks() const { return limits_.any() && close_ >= wanted_; }

  /// How long to look for the next operation now. Zero: wait for its event.
  [[nodiscard]] duration window(duration now) {
    if (!looks()) {
      return duration{0};
    }
    earn(now);
    return std::min(window_, saved_);
  }

  /// It was looked for so long, and there was one, or not.
  void polled(duration spent, bool found) {
    saved_ = std::max(saved_ - spent, duration{0});
    in_vain_ = !found;
    if (found) {
      wanted_ = fewest;
    } else {
      close_ = 0;
    }
  }

private:
  void earn(duration now) {
    const auto passed = std::clamp(now - earned_at_, duration{0}, savings * (100 / limits_.share + 1));
    saved_ = std::min(saved_ + passed * limits_.share / 100, savings);
    earned_at_ = now;
  }

  limits limits_;
  duration window_ = std::min(first, limits_.longest);
  unsigned close_ = 0; ///< that followed closely, one after the other
  unsigned wanted_ = fewest;
  bool in_vain_ = false; ///< the last look was, and no operation has come since
  duration saved_ = savings;
  duration earned_at_{0};
};

} // namespace pci
