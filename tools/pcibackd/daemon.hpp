// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "actors/runtime.hpp"
#include "config/document.hpp"
#include "config/settings.hpp"
#include "platform/host.hpp"
#include "tools/pcibackd/control_socket.hpp"
#include "tools/pcibackd/log.hpp"
#include "tools/pcibackd/metrics_file.hpp"
#include "tools/pcibackd/own_threads.hpp"
#include "tools/pcibackd/reload.hpp"

namespace daemon_program {

/// Everything at once, from root; empty when it does not answer within 10 s.
[[nodiscard]] messages::overview overview_of(actors::runtime& runtime);

/// What `pcibackctl metrics` prints.
[[nodiscard]] std::string metrics_of(actors::runtime& runtime);

/// What is done on a thread of its own when guests are served, until `serve` is to end: the simulated guests' part.
/// May call `end` to end the daemon.
using companion = std::function<void(actors::runtime& runtime, const std::function<void()>& end)>;

/// Requests of the control socket that the companion answers. False: it has no answer, and the control actor has one.
using request_taker = std::function<bool(std::uint64_t connection, const std::string& line)>;

/// What of the daemon's leaves its process. By itself, or by another process that may do it.
struct outside {
  std::function<void(const std::string& state)> notify = notify_service_manager;
  file_ways metrics{};
  std::function<std::vector<actors::thread_account>()> threads = own_threads;
  reloader::file_reader read_settings = [](const std::string& file) { return config::read_file(file); };
  std::chrono::microseconds watchdog{0}; ///< how often the service manager wants to hear that actors answer; 0: never
};

/// The daemon's main job on a host: starts the actors, holds the configured functions (one that cannot be held is
/// logged, the others are served), serves guests and the control socket until a signal comes. Then `stop_companion` is
/// called, and the companion waited for, while guests are still served. Without `journal` it is kept in memory. SIGHUP
/// has the settings' file read again; `adapt` completes what it says.
[[nodiscard]] pci::result<void> run_daemon(platform::host& host, const config::settings& settings,
                                           control_socket& socket, int signals, const companion& beside = {},
                                           const std::function<void()>& stop_companion = {},
                                           std::shared_ptr<platform::records> journal = {},
                                           const request_taker& take_first = {}, const outside& world = {},
                                           const reloader::adapter& adapt = {});

} // namespace daemon_program
