// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "platform/clock.hpp"

namespace platform::linux_host {

/// CLOCK_MONOTONIC.
class clock final : public platform::clock {
public:
  [[nodiscard]] duration now() const override { return std::chrono::steady_clock::now().time_since_epoch(); }
};

} // namespace platform::linux_host
