// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace platform::linux_host {

/// Where to look; another root for a test.
struct environment {
  std::filesystem::path sys = "/sys";
  std::filesystem::path proc = "/proc";
  std::filesystem::path dev = "/dev";
};

/// Why the daemon cannot serve here: one line each, which says how to mend it. Empty: it can.
[[nodiscard]] std::vector<std::string> obstacles(const environment& where = {});

} // namespace platform::linux_host
