// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/simulation_agenda.hpp"

#include <utility>

namespace daemon_program {

void simulation_agenda::add(job what, std::chrono::milliseconds in) {
  const std::lock_guard lock(mutex_);
  if (!ended_) {
    jobs_.emplace(clock::now() + in, std::move(what));
    changed_.notify_all();
  }
}

std::optional<simulation_agenda::job> simulation_agenda::next() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (ended_ || std::exchange(woken_, false)) {
      return std::nullopt;
    }
    if (jobs_.empty()) {
      changed_.wait(lock);
    } else if (const auto first = jobs_.begin()->first; clock::now() < first) {
      changed_.wait_until(lock, first);
    } else {
      auto what = std::move(jobs_.begin()->second);
      jobs_.erase(jobs_.begin());
      return what;
    }
  }
}

void simulation_agenda::wake() {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  changed_.notify_all();
}

void simulation_agenda::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  jobs_.clear();
  changed_.notify_all();
}

bool simulation_agenda::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

} // namespace daemon_program
