// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace pci {

/// A token bucket: how often something that a guest can trigger may be done, a log line above all. A value; the time
/// is handed in, from any clock that does not go back.
///
/// The default lets at most 10 pass in any minute (a full bucket of 5 and one more each 12 s), one instance a guest,
/// and of what goes on soon no more than one: each that passes after others were suppressed doubles the time to the
/// next, up to a minute. Once the bucket is full again all is as in the beginning.
class rate_limit {
public:
  rate_limit() = default;
  /// `capacity`: how many may pass at once; `refill`: the time in which one more may pass, greater than 0.
  rate_limit(std::uint32_t capacity, std::chrono::nanoseconds refill)
      : capacity_(capacity), refill_(refill), slowest_(refill), tokens_(capacity) {}

  /// Returns, when this one may pass, how many have been suppressed since the last that did; nothing when this one is
  /// suppressed too.
  [[nodiscard]] std::optional<std::uint64_t> allow(std::chrono::nanoseconds now) {
    top_up(now);
    if (tokens_ == 0) {
      ++suppressed_;
      return std::nullopt;
    }
    --tokens_;
    if (suppressed_ != 0 && tokens_ + 1 < capacity_) // else it had been quiet
      pace_ = std::min(2 * pace_, slowest_);
    const auto missed = suppressed_;
    suppressed_ = 0;
    return missed;
  }

  /// Suppressed since the last that passed.
  [[nodiscard]] std::uint64_t suppressed() const { return suppressed_; }

private:
  void top_up(std::chrono::nanoseconds now) {
    // A full bucket does not age: its next token is due one refill after the first is taken.
    if (tokens_ == capacity_)
      since_ = now;
    if (now <= since_)
      return;
    const auto due = (now - since_) / pace_;
    const auto room = static_cast<std::int64_t>(capacity_ - tokens_);
    tokens_ += static_cast<std::uint32_t>(std::min<std::int64_t>(due, room));
    since_ = due < room ? since_ + due * pace_ : now;
    if (due >= room)
      pace_ = refill_;
  }

  std::uint32_t capacity_ = 5;
  std::chrono::nanoseconds refill_ = std::chrono::seconds{12};
  std::chrono::nanoseconds slowest_ = std::chrono::minutes{1};
  std::chrono::nanoseconds pace_ = refill_; ///< the time to the next token as it is now
  std::uint32_t tokens_ = capacity_;
  std::chrono::nanoseconds since_{0}; ///< when the last token was added
  std::uint64_t suppressed_ = 0;
};

} // namespace pci
