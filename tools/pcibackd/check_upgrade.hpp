// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "pci/result.hpp"

namespace daemon_program {

/// What instances leave for the next one, by the records' names.
struct kept_records {
  std::map<std::string, std::string> journal;
  std::map<std::string, std::string> held; ///< of the process with rights
};

/// Reads them below the settings' `runtime`; what is not there is empty. Changes nothing.
[[nodiscard]] pci::result<kept_records> read_kept_records(const std::filesystem::path& runtime);

/// What `--check-upgrade` says.
struct upgrade_report {
  std::vector<std::string> losses; ///< a line each: whose, what, and what comes of it; empty: nothing would be lost
  std::string summary;             ///< one line
};

[[nodiscard]] upgrade_report check_upgrade(const kept_records& kept, const std::string& version);

} // namespace daemon_program
