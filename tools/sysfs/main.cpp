// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include <CLI/CLI.hpp>
#include <systemd/sd-daemon.h>

#include "tools/sysfs/control_backend.hpp"
#include "tools/sysfs/drivers.hpp"
#include "tools/sysfs/mount.hpp"
#include "tools/sysfs/pciback.hpp"
#include "tools/sysfs/tree.hpp"

namespace {

constexpr int usage_error = 2;

struct options {
  std::string socket = "/run/pcibackd/control.sock";
  std::string sysfs = "/sys";
  std::string mount = "/run/pcibackd/drivers";
};

int complain(const std::string& line) {
  std::cerr << "pcibackd-sysfs: " << line << '\n';
  return EXIT_FAILURE;
}

int run(const options& given) {
  const auto kernel = sysfs_program::drivers::open(given.sysfs);
  if (!kernel) {
    return complain(pci::to_string(kernel.error()));
  }
  if (!kernel->is_sysfs()) {
    return complain(given.sysfs + "/bus/pci/drivers is not the kernel's; start this outside pcibackd-with-sysfs");
  }
  sysfs_program::control_backend daemon(given.socket);
  sysfs_program::pciback files(daemon);
  const sysfs_program::tree all(*kernel, files);
  const auto done = sysfs_program::serve(all, given.mount, [] { ::sd_notify(0, "READY=1"); });
  return done ? EXIT_SUCCESS : complain(pci::to_string(done.error()));
}

int parse_and_run(int count, char** words) {
  CLI::App app{"Serves the directory of PCI drivers with the one of pciback in it, for toolstacks that look there.",
               "pcibackd-sysfs"};
  options given;
  app.add_option("--socket", given.socket, "the daemon's control socket")->type_name("PATH")->capture_default_str();
  app.add_option("--mount", given.mount, "where to mount it")->type_name("PATH")->capture_default_str();
  app.add_option("--sysfs", given.sysfs, "where the kernel's sysfs is")->type_name("PATH")->capture_default_str();
  app.set_version_flag("--version", "pcibackd-sysfs " PCIBACKD_VERSION);
  try {
    app.parse(count, words);
    return run(given);
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong) == 0 ? EXIT_SUCCESS : usage_error;
  }
}

} // namespace

int main(int count, char** words) {
  try {
    return parse_and_run(count, words);
  } catch (const std::exception& bug) {
    static_cast<void>(std::fputs(bug.what(), stderr));
  } catch (...) {
    static_cast<void>(std::fputs("an unknown exception", stderr));
  }
  static_cast<void>(std::fputs("; this is a bug\n", stderr));
  return EXIT_FAILURE;
}
