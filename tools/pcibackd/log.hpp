// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "config/settings.hpp"

namespace daemon_program {

/// Makes spdlog's default logger, which all of the daemon uses: to the journal with its priorities when standard error
/// is the journal's, else to standard error, a line a message with time and level.
void start_log(config::log_level level);

/// The least important message that is logged from now on.
void set_log_level(config::log_level level);

/// The last lines of the log, with time and level; the latest stands last.
[[nodiscard]] std::vector<std::string> recent_log();

/// Tells the service manager, if there is one: "READY=1", "STOPPING=1", "STATUS=...".
void notify_service_manager(const std::string& state);

} // namespace daemon_program
