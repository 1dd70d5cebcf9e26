// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "pci/result.hpp"
#include "platform/descriptor.hpp"

namespace daemon_program {

/// Ignores SIGPIPE and blocks SIGTERM, SIGINT and SIGHUP, which are read from the descriptor (a signalfd) instead.
/// Before any thread is made: threads inherit it.
[[nodiscard]] pci::result<platform::descriptor> take_signals();

} // namespace daemon_program
