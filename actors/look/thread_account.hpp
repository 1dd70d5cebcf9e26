// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace actors {

/// One thread of this process, as its kernel knows it.
struct thread_account {
  std::uint32_t id = 0;                  ///< as `top -H` shows it
  std::string name;                      ///< "guest-3", "pcibackd-events"
  char state = '?';                      ///< R runs, S sleeps, D waits for hardware (proc(5))
  std::chrono::milliseconds processor{}; ///< used since it began
};

} // namespace actors
