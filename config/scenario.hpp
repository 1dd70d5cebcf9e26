// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <filesystem>
#include <string_view>
#include <vector>

#include "config/document.hpp"
#include "config/simulation_command.hpp"

namespace config {

/// Something that happens on the simulated host at a time: an [[event]] of the file.
struct event {
  std::chrono::milliseconds at_time{0}; ///< since guests are served; up to a day
  simulation_command what;
  position at{}; ///< in the file
};

/// The [[event]] tables of a file: read into `events`, all that is wrong told.
[[nodiscard]] read_result<void> read_events(const value& from, std::vector<event>& events);

/// Reads a scenario, a file of [[event]] alone, as strictly as the settings.
[[nodiscard]] read_result<std::vector<event>> parse_scenario(std::string_view text);

} // namespace config
