// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include <sys/stat.h>

#include "pci/result.hpp"

namespace sysfs_program {

/// The kernel's own directory of PCI drivers, reached past whatever is mounted over it later. Paths are relative to it
/// and name no symbolic link but as their last part. Thread-safe.
class drivers {
public:
  /// Opens SYSFS/bus/pci/drivers.
  [[nodiscard]] static pci::result<drivers> open(const std::string& sysfs);
  drivers(drivers&& other) noexcept;
  drivers& operator=(drivers&&) = delete;
  ~drivers();

  /// False: what was opened is no sysfs, but perhaps the very directory that this program makes.
  [[nodiscard]] bool is_sysfs() const;
  [[nodiscard]] pci::result<struct stat> status(const std::string& path) const;
  [[nodiscard]] pci::result<std::vector<std::string>> list(const std::string& path) const;
  [[nodiscard]] pci::result<std::string> link(const std::string& path) const;
  [[nodiscard]] pci::result<std::string> read(const std::string& path) const;
  [[nodiscard]] pci::result<void> write(const std::string& path, const std::string& text) const;

private:
  explicit drivers(int directory) : directory_(directory) {}
  int directory_;
};

} // namespace sysfs_program
