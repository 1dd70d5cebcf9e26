// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <span>
#include <string>

#include "tools/pcibackctl/command_line.hpp"

namespace client_program {

/// Runs a command, prints what comes of it, and returns the exit code. `version`: this program's.
[[nodiscard]] int run_command(const std::string& command, const options& given, const std::string& version);

/// The same words on another host. Returns only when ssh cannot be executed.
[[nodiscard]] int run_remotely(const options& given, std::span<const std::string> words);

} // namespace client_program
