// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/instance_lock.hpp"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

namespace daemon_program {

pci::result<platform::descriptor> lock_instance(const std::filesystem::path& file) {
  std::error_code ignored; // opening fails then, and says why
  std::filesystem::create_directories(file.parent_path(), ignored);
  platform::descriptor opened{::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (!opened) {
    return pci::fail(errno, fmt::format("the lock {} cannot be opened", file.string()));
  }
  if (::flock(opened.get(), LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK
               ? pci::fail(EADDRINUSE, fmt::format("pcibackd is already running: it has locked {}", file.string()))
               : pci::fail(errno, fmt::format("{} cannot be locked", file.string()));
  }
  return opened;
}

} // namespace daemon_program
