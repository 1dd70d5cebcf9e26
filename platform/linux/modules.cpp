// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/modules.hpp"

#include <cerrno>
#include <csignal>

#include <spawn.h>
#include <sys/wait.h>

namespace platform::linux_host {
namespace {

/// Starts modprobe with none of the daemon's descriptors, blocked signals or environment.
int start(const std::string& module, pid_t& child) {
  const char* const arguments[] = {"/sbin/modprobe", "--", module.c_str(), nullptr};
  const char* const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", nullptr};
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t no_signals;
  ::sigemptyset(&no_signals);
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addclosefrom_np(&files, 3);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setsigmask(&attributes, &no_signals);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int error = ::posix_spawn(&child, arguments[0], &files, &attributes, const_cast<char* const*>(arguments),
                                  const_cast<char* const*>(environment));
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  return error;
}

} // namespace

pci::result<void> modprobe(const std::string& module) {
  pid_t child = -1;
  if (const int error = start(module, child); error != 0)
    return pci::fail(error, "run /sbin/modprobe " + module);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR)
      return pci::fail(errno, "wait for /sbin/modprobe " + module);
  if (status != 0)
    return pci::fail(EIO, "/sbin/modprobe cannot load " + module);
  return {};
}

} // namespace platform::linux_host
