// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/look/observation.hpp"

namespace actors {

void scrub_meter::ended(bool clean, std::chrono::nanoseconds time) {
  const auto seconds = std::chrono::duration<double>(time).count();
  std::size_t which = 0;
  while (which < ends.size() && ends[which] < seconds) {
    ++which;
  }
  const std::lock_guard lock(mutex_);
  auto& into = clean ? outcomes_.clean : outcomes_.failed;
  ++into.times[which];
  into.taken += seconds;
}

} // namespace actors
