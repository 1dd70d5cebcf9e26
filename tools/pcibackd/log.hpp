// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "actors/look/happenings.hpp"
#include "config/settings.hpp"

namespace daemon_program {

/// Makes spdlog's default logger, which all of the daemon uses: to systemd's journal, field by field, when standard
/// error is the journal's, else to standard error, a line a message with time and level. Before the process gives up
/// any right. `version`: this program's.
void start_log(config::log_level level, const std::string& version);

/// Tells systemd's journal of an event, if the log goes there and the level lets it. Quick, as a line of the log is.
void record_event(const actors::event& what);

/// The least important message that is logged from now on.
void set_log_level(config::log_level level);

/// The last lines of the log, with time and level; the latest stands last.
[[nodiscard]] std::vector<std::string> recent_log();

/// Tells the service manager, if there is one: "READY=1", "STOPPING=1", "WATCHDOG=1".
void notify_service_manager(const std::string& state);
/// How often at least the service manager wants to be told WATCHDOG=1 by this process; 0: not at all.
[[nodiscard]] std::chrono::microseconds service_watchdog();

} // namespace daemon_program
