// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <chrono>

namespace pci {

/// Whether it pays to look for a guest's next operation for a moment after an answer, before its event is waited for:
/// an event costs two switches between domains and the waking of a thread, which is most of what a configuration read
/// takes. A guest that scans a bus asks again within microseconds; one that does not is not looked for. After the
/// manner of KVM's halt polling and vhost's busy polling. A value; times are handed in, from a clock that does not go
/// back.
class busy_poll {
public:
  using duration = std::chrono::nanoseconds;

  struct limits {
    duration longest = std::chrono::microseconds(50); ///< one look; 0: never
    unsigned share = 5;                               ///< of a processor, for one guest, in percent; 0: never
  };
  /// Operations follow closely that come within this time of the answer before them. It includes what waking takes.
  static constexpr duration near = std::chrono::milliseconds(1);
  /// So many closely following ones are wanted before the first look, and twice as many after each look in vain.
  static constexpr unsigned fewest = 2, most = 256;
  /// What a guest may have saved up of its share: the scan of a bus or two.
  static constexpr duration savings = std::chrono::milliseconds(250);

  explicit busy_poll(limits most_of) : limits_(most_of) {}

  /// An event brought an operation, so long after the last answer.
  void woken(duration after_answer) { close_ = after_answer <= near ? std::min(close_ + 1, most) : 0; }

  /// How long to look for the next operation now. Zero: wait for its event.
  [[nodiscard]] duration window(duration now) {
    if (limits_.share == 0 || close_ < wanted_) {
      return duration{0};
    }
    earn(now);
    return std::min(limits_.longest, saved_);
  }

  /// It was looked for so long, and there was one, or not.
  void polled(duration spent, bool found) {
    saved_ = std::max(saved_ - spent, duration{0});
    if (found) {
      wanted_ = fewest;
    } else {
      close_ = 0;
      wanted_ = std::min(wanted_ * 2, most);
    }
  }

private:
  void earn(duration now) {
    const auto passed = std::clamp(now - earned_at_, duration{0}, savings * (100 / limits_.share + 1));
    saved_ = std::min(saved_ + passed * limits_.share / 100, savings);
    earned_at_ = now;
  }

  limits limits_;
  unsigned close_ = 0; ///< that followed closely, one after the other
  unsigned wanted_ = fewest;
  duration saved_ = savings;
  duration earned_at_{0};
};

} // namespace pci
