// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace daemon_program {

/// What `--check-config` is to look at. Empty: no such file.
struct files_to_check {
  std::optional<std::filesystem::path> settings;
  std::optional<std::filesystem::path> simulation;
  std::optional<std::filesystem::path> scenario; ///< for the simulation
};

/// What it says: a line each.
struct check_report {
  std::vector<std::string> mistakes;
  std::vector<std::string> warnings;
  std::vector<std::string> summary; ///< one for each file
  [[nodiscard]] bool good() const { return mistakes.empty(); }
};

/// Names and UUIDs of the guests that run now; empty when nobody can tell.
using guest_lister = std::function<std::optional<std::vector<std::string>>()>;

/// Reads the files to their ends, a simulation's dumps too, and tells all that is wrong with them and what can hardly
/// be meant. A simulation's guests are those that the settings may name; otherwise `running` is asked.
[[nodiscard]] check_report check_config(const files_to_check& files, const guest_lister& running);

} // namespace daemon_program
