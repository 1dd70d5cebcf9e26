// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include "config/settings.hpp"
#include "pci/result.hpp"
#include "tools/pcibackd/control_socket.hpp"

namespace daemon_program {

/// Tries again for a second while another instance is there (EADDRINUSE): one that was killed is two processes, of
/// which the second ends a moment after the first.
template <class Work>
auto patiently(Work work) -> decltype(work()) {
  auto done = work();
  for (int tries = 0; !done && done.error().error == EADDRINUSE && tries < 20; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    done = work();
  }
  return done;
}

/// Serves the guests of this machine, in two processes or in one, until a signal comes. The exit status: it returns in
/// the host process alone. `file`: where the settings came from; empty: from none.
[[nodiscard]] pci::result<int> run_on_this_host(const config::settings& settings, control_socket& socket, int signals,
                                                bool one_process, const std::string& file);

/// Prints what a worker of this machine can and cannot do. The exit status: 0 if it can do nothing that it must not.
[[nodiscard]] pci::result<int> check_sandbox(const config::settings& settings, int signals);

} // namespace daemon_program
