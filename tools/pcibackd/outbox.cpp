// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/outbox.hpp"

#include <algorithm>

#include <sys/eventfd.h>

namespace daemon_program {

// Neither call can fail on a non-blocking eventfd in a way that matters: a full counter is readable too.
void outbox::wake() const { static_cast<void>(::eventfd_write(event_.get(), 1)); }

void outbox::put(std::uint64_t connection, std::string line, bool watches) {
  {
    const std::lock_guard lock(mutex_);
    answers_.push_back({connection, std::move(line), watches});
    watched_ = watched_ || watches;
  }
  wake();
}

void outbox::tell(std::string line) {
  {
    const std::lock_guard lock(mutex_);
    if (!watched_) {
      return;
    }
    if (news_.lines.size() < most_news) {
      news_.lines.push_back(std::move(line));
    } else {
      ++news_.lost;
    }
  }
  wake();
}

outbox_news outbox::take_news() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

// One that is about to watch is not among them yet.
void outbox::set_watchers(std::size_t count) {
  const std::lock_guard lock(mutex_);
  watched_ = count != 0 || std::ranges::any_of(answers_, &answer::watches);
}

std::vector<outbox::answer> outbox::take() {
  eventfd_t count = 0;
  static_cast<void>(::eventfd_read(event_.get(), &count));
  const std::lock_guard lock(mutex_);
  return std::exchange(answers_, {});
}

void outbox::stop() {
  stopped_ = true;
  wake();
}

} // namespace daemon_program
