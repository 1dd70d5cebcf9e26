// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include <sys/stat.h>

#include "tools/sysfs/drivers.hpp"
#include "tools/sysfs/pciback.hpp"

namespace sysfs_program {

/// The directory of all PCI drivers with pciback among them: what a toolstack sees at /sys/bus/pci/drivers. The other
/// drivers' directories are the kernel's own. Paths begin with "/". Failures have the errno that the system call is to
/// have. Thread-safe.
class tree {
public:
  tree(const drivers& kernel, pciback& files) : kernel_(kernel), files_(files) {}

  [[nodiscard]] pci::result<struct stat> status(const std::string& path) const;
  [[nodiscard]] pci::result<std::vector<std::string>> list(const std::string& path) const;
  /// The target of a symbolic link; it holds where the tree is mounted at SYSFS/bus/pci/drivers.
  [[nodiscard]] pci::result<std::string> link(const std::string& path) const;
  [[nodiscard]] pci::result<std::string> read(const std::string& path) const;
  [[nodiscard]] pci::result<void> write(const std::string& path, const std::string& text) const;

private:
  [[nodiscard]] pci::result<struct stat> own_status(const std::string& name) const;
  [[nodiscard]] pci::result<bool> has_link(const std::string& name) const;

  const drivers& kernel_;
  pciback& files_;
};

} // namespace sysfs_program
