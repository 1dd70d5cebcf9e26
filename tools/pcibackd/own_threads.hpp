// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

#include <sys/types.h>

#include "actors/look/thread_account.hpp"

namespace daemon_program {

/// This process's threads, in the order of their numbers, as /proc has them. Those that end meanwhile are left out.
[[nodiscard]] std::vector<actors::thread_account> own_threads();
/// Another process's likewise.
[[nodiscard]] std::vector<actors::thread_account> threads_of(pid_t process);

} // namespace daemon_program
