// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/whole_file.hpp"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include "platform/descriptor.hpp"

namespace platform::linux_host {

pci::result<void> write_whole(const std::filesystem::path& file, std::string_view text, mode_t mode) {
  const descriptor opened{::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)};
  if (!opened)
    return pci::fail(errno, "open " + file.string());
  while (!text.empty()) {
    const ssize_t count = ::write(opened.get(), text.data(), text.size());
    if (count < 0 && errno != EINTR) {
      auto failed = pci::fail(errno, "write " + file.string());
      static_cast<void>(::unlink(file.c_str()));
      return failed;
    }
    text.remove_prefix(count < 0 ? 0 : static_cast<std::size_t>(count));
  }
  return {};
}

} // namespace platform::linux_host
