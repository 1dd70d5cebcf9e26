// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <chrono>

namespace pci {

/// Whether the answer to an operation needs its event at once. Linux's frontend looks at the page by itself
/// (docs/protocol.md, 2.1), and its next operation shows that it has seen the answer; the event would cost a switch
/// between domains for nothing. So while operations follow closely it is left to be sent later, if the guest has not
/// gone on by then. A frontend that sleeps until the event is let wait for so long now and then, less often each time.
///
/// A value; times are handed in, from a clock that does not go back.
class late_events {
public:
  using duration = std::chrono::nanoseconds;

  /// Operations follow closely that come within this time of the answer before them. On one processor Xen lets the
  /// frontend spin for the slice of a domain first (sched_ratelimit_us, 1 ms by default).
  static constexpr duration near = std::chrono::milliseconds(5);
  /// So many closely following ones are wanted before the first event is left out, and so many are sent at once after
  /// one that was left out in vain; each time in a row so many times as many: few where it was in vain for a fraction
  /// of a millisecond, as a busy host may have it, many where the guest has waited for long.
  static constexpr unsigned fewest = 2, gentle_growth = 2, steep_growth = 16, most = 512;

  /// Not `any`: none is ever left out.
  late_events(bool any, unsigned growth) : any_(any), growth_(growth) {}

  /// An operation came, so long after the last answer.
  void followed(duration after_answer) { close_ = after_answer <= near ? std::min(close_ + 1, fewest) : 0; }

  /// Of an answer that is about to be given, once: its event may come later. What became of it is to be told.
  [[nodiscard]] bool may_wait() {
    if (!any_ || close_ < fewest) {
      return false;
    }
    if (at_once_ > 0) {
      --at_once_;
      return false;
    }
    return true;
  }

  /// After such an answer: the guest has gone on without its event, or has not.
  void went_on(bool without_event) {
    if (without_event) {
      next_at_once_ = fewest;
    } else {
      at_once_ = next_at_once_;
      next_at_once_ = std::min(next_at_once_ * growth_, most);
    }
  }

private:
  bool any_;
  unsigned growth_;
  unsigned close_ = 0;   ///< that followed closely, one after the other
  unsigned at_once_ = 0; ///< events that are sent at once before the next is tried to be left out
  unsigned next_at_once_ = fewest;
};

} // namespace pci
