// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/outbox.hpp"

#include <sys/eventfd.h>

namespace daemon_program {

// Neither call can fail on a non-blocking eventfd in a way that matters: a full counter is readable too.
void outbox::wake() const { static_cast<void>(::eventfd_write(event_.get(), 1)); }

void outbox::put(std::uint64_t connection, std::string line) {
  {
    const std::lock_guard lock(mutex_);
    answers_.emplace_back(connection, std::move(line));
  }
  wake();
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
