// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "pci/result.hpp"
#include "tools/pcibackctl/client.hpp"
#include "tools/pcibackctl/command_line.hpp"

namespace client_program {

/// The daemon's name for a command.
[[nodiscard]] std::string method_of(const std::string& command);

/// What the daemon is asked for. EINVAL: an argument is wrong, in a line for who typed it.
[[nodiscard]] pci::result<call> call_of(const std::string& method, const options& given);

} // namespace client_program
