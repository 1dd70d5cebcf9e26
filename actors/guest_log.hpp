// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <spdlog/spdlog.h>

#include "pci/rate_limit.hpp"
#include "platform/clock.hpp"

namespace actors {

/// The log of what one guest can cause: at most 10 lines a minute, whatever it does (XSA-43, XSA-130), and one when it
/// goes on. What is left out is counted and the count is told with the next line.
class guest_log {
public:
  void use(const platform::clock& time) { time_ = &time; }

  template <class... Arguments>
  void write(spdlog::level::level_enum level, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    const auto missed = limit_.allow(time_->now());
    if (!missed) {
      return;
    }
    const auto line = fmt::format(format, std::forward<Arguments>(arguments)...);
    if (*missed == 0) {
      spdlog::log(level, "{}", line);
    } else {
      spdlog::log(level, "{} ({} lines left out before)", line, *missed);
    }
  }

private:
  pci::rate_limit limit_;
  const platform::clock* time_ = nullptr;
};

} // namespace actors
