// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pci/result.hpp"

namespace platform::linux_host {

/// The files of a kernel's file system (/sys, /proc) below a root. Nothing here throws; paths are relative to the root.
class sysfs {
public:
  explicit sysfs(std::filesystem::path root = "/sys") : root_(std::move(root)) {}
  sysfs(const sysfs&) = delete;
  sysfs& operator=(const sysfs&) = delete;
  virtual ~sysfs() = default;

  [[nodiscard]] std::filesystem::path path(const std::string& file) const { return root_ / file; }
  [[nodiscard]] bool exists(const std::string& file) const;
  /// The whole file. ENOENT: no such file; EFBIG: it is larger than 16 MiB.
  [[nodiscard]] pci::result<std::string> read(const std::string& file) const;
  /// One write, as the kernel takes an attribute. The file must exist. The failure is the kernel's own.
  [[nodiscard]] virtual pci::result<void> write(const std::string& file, std::string_view value);
  /// The last component of what a symbolic link points to. ENOENT: no such link.
  [[nodiscard]] pci::result<std::string> target(const std::string& link) const;
  /// The names in a directory, sorted; none when there is no such directory.
  [[nodiscard]] std::vector<std::string> entries(const std::string& directory) const;

private:
  std::filesystem::path root_;
};

/// The text without white space at either end.
[[nodiscard]] std::string_view trim(std::string_view text);

/// Reads an unsigned number, hexadecimal when it starts with 0x, white space around it allowed. Empty: not a number.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text);

} // namespace platform::linux_host
