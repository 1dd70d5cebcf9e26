// SPDX-License-Identifier: GPL-2.0-or-later
// pcibackd-with-sysfs COMMAND...: runs a toolstack's command with pciback's directory where it looks for it. It becomes
// that command, so the exit status is the command's; 125: it could not be prepared, 126 and 127: it could not be run
// (as of env(1)).

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace {

constexpr int not_prepared = 125;
constexpr int not_runnable = 126;
constexpr int not_found = 127;

constexpr const char* served = "/run/pcibackd/drivers";
constexpr const char* wanted = "/sys/bus/pci/drivers";

int complain(const char* what, const char* cure) {
  const auto why = errno;
  static_cast<void>(std::fprintf(stderr, "pcibackd-with-sysfs: %s (%s); %s\n", what, std::strerror(why), cure));
  return not_prepared;
}

bool is_fuse(const char* path) {
  struct statfs is {};
  return ::statfs(path, &is) == 0 && is.f_type == FUSE_SUPER_MAGIC;
}

/// Reads pciback's slots, for which the daemon is asked: false with errno when there is none.
bool answers() {
  const int file = ::open("/run/pcibackd/drivers/pciback/slots", O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return false;
  }
  ::close(file);
  return true;
}

/// A namespace of its own for mounts, in which those of the host still appear, with the directory in it.
int enter() {
  if (!is_fuse(served)) {
    return complain("/run/pcibackd/drivers is not there", "start pcibackd-sysfs");
  }
  if (!answers()) {
    return complain("pcibackd does not answer", "start pcibackd");
  }
  if (::unshare(CLONE_NEWNS) != 0) {
    return complain("a mount namespace cannot be made", "run it as root");
  }
  if (::mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return complain("the mounts cannot be made this command's own", "see mount_namespaces(7)");
  }
  if (::mount(served, wanted, nullptr, MS_BIND, nullptr) != 0) {
    return complain("/sys/bus/pci/drivers cannot be mounted over", "is sysfs mounted at /sys?");
  }
  return 0;
}

} // namespace

int main(int count, char** words) {
  if (count < 2 || std::string_view{words[1]} == "--help") {
    std::puts("usage: pcibackd-with-sysfs COMMAND [ARGUMENT...]\n"
              "Runs a command, such as xl, with the directory of a PCI driver named pciback that pcibackd serves.");
    return count < 2 ? not_prepared : EXIT_SUCCESS;
  }
  // Inside another one there is nothing to do.
  if (!is_fuse(wanted)) {
    if (const int failed = enter(); failed != 0) {
      return failed;
    }
  }
  ::execvp(words[1], words + 1);
  const auto why = errno;
  static_cast<void>(std::fprintf(stderr, "pcibackd-with-sysfs: %s: %s\n", words[1], std::strerror(why)));
  return why == ENOENT ? not_found : not_runnable;
}
