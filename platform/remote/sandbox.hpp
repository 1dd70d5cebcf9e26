// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <sys/types.h>

#include "pci/result.hpp"

namespace platform::remote {

/// The user that the worker becomes.
struct worker_user {
  uid_t user = 65534; ///< nobody
  gid_t group = 65534;
};
/// "pcibackd", where there is such a user, else nobody. Before the process gives up its rights: it reads files.
[[nodiscard]] worker_user find_worker_user();

/// Gives up, for this process and for good, all rights that it does not need once it has its sockets: the user root (if
/// it is root), every capability, new programs, and every system call but those that work on open files, memory, time
/// and threads. What is refused is EPERM. The process ends with its parent. Before any thread is made.
/// EPERM and others: not all of that could be had, and the process must not go on.
[[nodiscard]] pci::result<void> give_up_rights(const worker_user& become);

} // namespace platform::remote
