// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <string>

#include "pci/result.hpp"

namespace platform::linux_host {

/// Loads a kernel module by name.
using module_loader = std::function<pci::result<void>(const std::string& module)>;

/// Runs /sbin/modprobe and waits for it. EIO: it could not load the module.
[[nodiscard]] pci::result<void> modprobe(const std::string& module);

} // namespace platform::linux_host
