// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/look/happenings.hpp"

#include <utility>

namespace actors {

void happenings::tell(event what) {
  counts_[static_cast<std::size_t>(what.what)].fetch_add(1, std::memory_order_relaxed);
  what.when = std::chrono::system_clock::now();
  const std::lock_guard lock(mutex_);
  if (listener_) {
    listener_(what);
  }
  recent_.push_back(std::move(what));
  if (recent_.size() > kept) {
    recent_.pop_front();
  }
}

std::deque<event> happenings::recent() const {
  const std::lock_guard lock(mutex_);
  return recent_;
}

void happenings::listen(listener to) {
  const std::lock_guard lock(mutex_);
  listener_ = std::move(to);
}

} // namespace actors
