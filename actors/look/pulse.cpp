// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/look/pulse.hpp"

#include <algorithm>
#include <utility>

namespace actors {

void pulse::is(std::string_view kind, std::string subject) {
  const std::lock_guard lock(mutex_);
  kind_ = kind;
  subject_ = std::move(subject);
}

// When the oldest message came that is not done with. A message that is just arriving may have counted, and its time
// not be there yet: what stands in its place is older than the last moment at which all was done.
std::optional<pulse::time> pulse::oldest(std::uint64_t arrived, std::uint64_t handled) const {
  const auto busy = busy_since_.load(std::memory_order_relaxed);
  if (arrived <= handled) {
    return busy == 0 ? std::nullopt : std::optional{time(busy)};
  }
  const auto first = std::max(handled, arrived - std::min<std::uint64_t>(arrived, arrivals_.size()));
  const auto came = std::max(arrivals_[first % arrivals_.size()].load(std::memory_order_relaxed),
                             idle_at_.load(std::memory_order_relaxed));
  return time(busy == 0 ? came : std::min(came, busy));
}

actor_account pulse::account(time at) const {
  actor_account seen;
  seen.id = id_;
  seen.owner = owner_;
  seen.own_thread = own_thread_;
  seen.lasts = lasts_.load(std::memory_order_relaxed);
  seen.state = state_.load(std::memory_order_relaxed);
  seen.restarts = restarts_.load(std::memory_order_relaxed);
  seen.handled = handled_.load(std::memory_order_relaxed);
  const auto arrived = arrived_.load(std::memory_order_relaxed);
  const auto in_hand = std::uint64_t{busy_since_.load(std::memory_order_relaxed) != 0};
  seen.waiting = arrived > seen.handled + in_hand ? arrived - seen.handled - in_hand : 0;
  if (const auto came = oldest(arrived, seen.handled)) {
    seen.oldest = std::max(at - *came, time(0));
  }
  seen.answers = !seen.lasts || !seen.oldest || *seen.oldest <= patience;
  const std::lock_guard lock(mutex_);
  seen.kind = kind_;
  seen.subject = subject_;
  return seen;
}

} // namespace actors
