// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/genirq.hpp"

namespace platform::sim {

void genirq_line::add_handler(bool noirqdebug) {
  if (handlers_++ == 0)
    watched_ = !noirqdebug;
  counts_ = {};
  disabled_ = false;
}

void genirq_line::remove_handler() {
  if (handlers_ != 0)
    --handlers_;
}

void genirq_line::note(bool claimed, std::chrono::nanoseconds now) {
  if (!watched_)
    return;
  if (!claimed) {
    counts_.unhandled = now - last_unhandled_ > gap ? 1 : counts_.unhandled + 1;
    last_unhandled_ = now;
  }
  if (++counts_.count < window)
    return;
  disabled_ = disabled_ || counts_.unhandled > tolerated;
  counts_ = {};
}

} // namespace platform::sim
