// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "config/settings.hpp"
#include "platform/host.hpp"
#include "platform/records.hpp"
#include "platform/remote/handover.hpp"
#include "platform/remote/remote_host.hpp"
#include "tools/pcibackd/daemon.hpp"

namespace daemon_program {

/// The daemon as two processes. The one that was started, the host process, keeps what it opens of the host, and does
/// with it what the other asks for and is allowed. The other, the worker, runs the actors, the guests' threads and the
/// control socket, and has no rights. A worker that a signal has ended, by a bug of its own for one, is started again
/// within milliseconds, and takes the guests over (restarts.hpp, worker_starter.hpp). When the host process ends, so
/// does the worker, and whoever started them (systemd, within 100 ms) starts both again. The host process is the
/// service's main process, which alone speaks to the service manager.

/// What of a host one opens with rights, and how it is handed to the worker.
struct opened_host {
  std::unique_ptr<platform::host> where;
  std::unique_ptr<platform::remote::handover> hands;
};

struct processes {
  /// In the host process, before anything is asked: opens it, and warns.
  std::function<pci::result<opened_host>()> open_host;
  /// In the worker, without rights; returns what ends it.
  std::function<pci::result<void>(platform::remote::remote_host& host, int signals)> work;
  /// In the worker: makes use of what it is handed.
  platform::remote::takeover& hands;
  const platform::clock& time;
  int lock = -1;               ///< the instance's, of the host process alone; -1: none
  std::string settings_file{}; ///< where the settings came from; empty: from none
};

/// Forks, before any thread is made, and returns in the host process when no worker is to follow: with the exit status
/// of the last, which is EXIT_FAILURE if a signal has ended that one. `signals` (a signalfd) is read by the host
/// process, and passed on.
[[nodiscard]] pci::result<int> run_two_processes(const config::settings& settings, int signals, processes how);

/// What host processes have kept of held functions is out of date: a single process holds them now.
void forget_held(const config::settings& settings);

/// The daemon's main job in the worker. `watchdog`: as service_watchdog() had it in the host process.
[[nodiscard]] pci::result<void> run_worker(platform::remote::remote_host& host, const config::settings& settings,
                                           control_socket& socket, int signals, std::chrono::microseconds watchdog);

} // namespace daemon_program
