// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sys/types.h>

#include "config/settings.hpp"
#include "pci/result.hpp"
#include "tools/pcibackd/two_processes.hpp"
#include "tools/pcibackd/worker_starter.hpp"

namespace daemon_program {

constexpr const char* held_directory = "held"; ///< below the settings' `runtime`: what host processes know

/// A worker, and what the host process has of the connections to it.
struct running_worker {
  process_ends mine;
  pid_t process = 0;
};
[[nodiscard]] pci::result<running_worker> start_worker(const worker_starter& workers);

/// Opens the host, and serves `first` and the workers after it until there is to be no other. Returns as
/// run_two_processes does.
[[nodiscard]] pci::result<int> be_host_process(const worker_starter& workers, running_worker first,
                                               const config::settings& settings, int signals, const processes& how);

} // namespace daemon_program
