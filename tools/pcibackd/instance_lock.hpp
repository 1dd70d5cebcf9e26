// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>

#include "pci/result.hpp"
#include "platform/descriptor.hpp"

namespace daemon_program {

/// Where the daemon of this machine has its lock, whatever its settings say: two of them, each with a socket of its
/// own, would serve the same guests and scrub each other's functions.
inline constexpr const char* instance_lock_path = "/run/pcibackd/lock";

/// Locks the file, which is made if it is missing, for as long as the descriptor is open. EADDRINUSE: another process
/// has it.
[[nodiscard]] pci::result<platform::descriptor> lock_instance(const std::filesystem::path& file);

} // namespace daemon_program
