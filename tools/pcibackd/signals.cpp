// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/signals.hpp"

#include <cerrno>
#include <csignal>

#include <sys/signalfd.h>

namespace daemon_program {

pci::result<platform::descriptor> take_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGHUP);
  if (const auto error = ::pthread_sigmask(SIG_BLOCK, &ends, nullptr); error != 0) {
    return pci::fail(error, "signals cannot be blocked");
  }
  platform::descriptor signals{::signalfd(-1, &ends, SFD_NONBLOCK | SFD_CLOEXEC)};
  if (!signals) {
    return pci::fail(errno, "no signalfd");
  }
  return signals;
}

} // namespace daemon_program
