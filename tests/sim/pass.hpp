// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>

#include "deterministic.hpp"

namespace test {

/// Lets time pass, in steps that are shorter than any wait: what follows from a time-out has its own time-outs.
inline void pass(deterministic_daemon& daemon, std::chrono::nanoseconds time) {
  for (constexpr auto step = std::chrono::milliseconds(50); time > std::chrono::nanoseconds(0); time -= step) {
    daemon.advance(step);
  }
}

} // namespace test
