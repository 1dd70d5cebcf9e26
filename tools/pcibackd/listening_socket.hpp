// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "pci/result.hpp"
#include "platform/descriptor.hpp"

namespace daemon_program {

/// A listening Unix stream socket at `path`, mode 0600; its directory is made (0755) if it is missing. A socket that is
/// there already is replaced when nobody listens on it; EADDRINUSE when a daemon does. Anything else that has the name
/// is left alone: ENOTSOCK.
[[nodiscard]] pci::result<platform::descriptor> listen_at(const std::string& path);

} // namespace daemon_program
