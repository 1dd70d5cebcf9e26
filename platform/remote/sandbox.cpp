// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/remote/sandbox.hpp"

#include <cerrno>
#include <csignal>
#include <ctime>

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cap-ng.h>

namespace platform::remote {

pci::result<void> allow_calls_of_a_worker(); // system_calls.cpp

namespace {

pci::result<void> become_user(const worker_user& user) {
  if (::geteuid() != 0)
    return {};
  if (::setgroups(0, nullptr) != 0 || ::setresgid(user.group, user.group, user.group) != 0 ||
      ::setresuid(user.user, user.user, user.user) != 0)
    return pci::fail(errno, "the worker cannot become another user");
  return {};
}

/// A change of the user has done most of it; what the process was given beside comes off here.
pci::result<void> drop_capabilities() {
  capng_clear(CAPNG_SELECT_CAPS);
  if (capng_apply(CAPNG_SELECT_CAPS) != 0 || ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return pci::fail(EPERM, "the worker cannot give up its capabilities");
  if (capng_get_caps_process() != 0 || capng_have_capabilities(CAPNG_SELECT_CAPS) != CAPNG_NONE)
    return pci::fail(EPERM, "the worker still has capabilities");
  return {};
}

/// After the change of the user, which takes the wish for a signal away.
pci::result<void> end_with_parent(pid_t parent) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
    return pci::fail(errno, "the worker cannot be ended with its parent");
  if (::getppid() != parent)
    return pci::fail(ESRCH, "the host process has ended already");
  return {};
}

/// No dump of a guest's page on a disk, and no look into the process by another of its user's.
pci::result<void> hide_memory() {
  const rlimit none{0, 0};
  if (::prctl(PR_SET_DUMPABLE, 0) != 0 || ::setrlimit(RLIMIT_CORE, &none) != 0)
    return pci::fail(errno, "the worker's memory cannot be hidden");
  return {};
}

/// What the C library would read from files later, it reads now.
void read_what_is_read_once() {
  ::tzset();
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  static_cast<void>(::localtime_r(&now, &local));
}

} // namespace

worker_user find_worker_user() {
  worker_user found;
  if (const auto* own = ::getpwnam("pcibackd"); own != nullptr && own->pw_uid != 0)
    found = {own->pw_uid, own->pw_gid};
  return found;
}

pci::result<void> give_up_rights(const worker_user& become) {
  const auto parent = ::getppid();
  read_what_is_read_once();
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return pci::fail(errno, "the worker cannot give up new programs' rights");
  return become_user(become)
      .and_then(drop_capabilities)
      .and_then([&] { return end_with_parent(parent); })
      .and_then(hide_memory)
      .and_then(allow_calls_of_a_worker);
}

} // namespace platform::remote
