// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/domain/owed_events.hpp"

#include <algorithm>
#include <utility>

namespace actors {

owed_events::~owed_events() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.reset();
}

pci::result<void> owed_events::start() {
  if (thread_) {
    return {};
  }
  auto thread = guest_thread::start("owed-events", [this] { run(); });
  if (!thread) {
    return tl::unexpected(thread.error());
  }
  thread_.emplace(std::move(*thread));
  return {};
}

void owed_events::enter(std::shared_ptr<connection> guest) {
  const std::lock_guard lock(mutex_);
  guests_.push_back(std::move(guest));
}

void owed_events::leave(const connection& guest) {
  std::shared_ptr<connection> last; // its page is not unmapped under the lock
  const std::lock_guard lock(mutex_);
  std::erase_if(guests_, [&](std::shared_ptr<connection>& each) {
    const bool is_it = each.get() == &guest;
    if (is_it) {
      last = std::move(each);
    }
    return is_it;
  });
}

void owed_events::owe() {
  if (any_.exchange(true)) {
    return;
  }
  { const std::lock_guard lock(mutex_); } // it waits, or has not looked yet
  changed_.notify_all();
}

void owed_events::run() {
  std::unique_lock lock(mutex_);
  const auto stops = [this] { return stopping_; };
  while (!stopping_) {
    changed_.wait(lock, [this] { return stopping_ || any_; });
    if (!changed_.wait_for(lock, period_, stops)) {
      look();
    }
  }
}

// With the lock held.
void owed_events::look() {
  any_ = false;
  bool younger = false, sent = false;
  for (const auto& each : guests_) {
    switch (each->send_overdue_event()) {
    case connection::owed::younger:
      younger = true;
      break;
    case connection::owed::sent:
      sent = true;
      break;
    case connection::owed::none:
      break;
    }
  }
  period_ = younger && !sent ? std::min(2 * period_, longest) : shortest;
  if (younger) {
    any_ = true;
  }
}

} // namespace actors
