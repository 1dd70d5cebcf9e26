// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/storage.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <system_error>
#include <vector>

#include <fmt/format.h>

namespace platform::linux_host {
namespace {

namespace fs = std::filesystem;

/// A block device and what it is used for.
struct use {
  fs::path device; ///< its directory, without symbolic links
  std::string what;
};

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> found;
  while (!(line = trim(line)).empty()) {
    const auto end = std::min(line.find_first_of(" \t"), line.size());
    found.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return found;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> found;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    found.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return found;
}

fs::path resolved(const fs::path& link) {
  std::error_code error;
  auto found = fs::canonical(link, error);
  return error ? fs::path{} : found;
}

/// "/dev/mapper/root" is a link to the node whose name the kernel knows.
std::string node_name(std::string_view source) {
  const fs::path path{source};
  const auto real = resolved(path);
  return (real.empty() ? path : real).filename().string();
}

class search {
public:
  explicit search(const sysfs& system) : system_(system) {}

  void add_device(const fs::path& directory, const std::string& what) {
    if (directory.empty() || !seen_.insert(directory).second)
      return;
    add_functions(directory, what);
    add_slaves(directory, what);
    // A partition is what its disk is.
    if (std::error_code error; fs::exists(directory / "partition", error))
      add_device(directory.parent_path(), what);
    add_paths(directory, what);
  }
  void add_named(const std::string& name, const std::string& what) {
    add_device(resolved(system_.path("class/block/" + name)), what);
  }
  /// A btrfs of several devices shows only one of them as mounted.
  void add_btrfs(const std::string& name, const std::string& what) {
    for (const auto& file_system : system_.entries("fs/btrfs")) {
      const auto devices = system_.entries("fs/btrfs/" + file_system + "/devices");
      if (std::find(devices.begin(), devices.end(), name) == devices.end())
        continue;
      for (const auto& each : devices)
        add_named(each, what);
    }
  }
  [[nodiscard]] std::map<pci::sbdf, std::string> take() { return std::move(found_); }

private:
  void add_functions(const fs::path& directory, const std::string& what) {
    for (const auto& part : directory)
      if (const auto address = pci::parse_node_sbdf(part.string()))
        found_.try_emplace(*address, what);
  }
  void add_slaves(const fs::path& directory, const std::string& what) {
    std::error_code error;
    for (fs::directory_iterator entry(directory / "slaves", error), end; !error && entry != end; entry.increment(error))
      add_device(resolved(entry->path()), what);
  }
  /// A namespace that several controllers of NVMe may reach stands below its subsystem, beside links to those.
  void add_paths(const fs::path& directory, const std::string& what) {
    const auto subsystem = directory.parent_path();
    if (subsystem.parent_path().filename() != "nvme-subsystem")
      return;
    std::error_code error;
    for (fs::directory_iterator entry(subsystem, error), end; !error && entry != end; entry.increment(error))
      if (std::error_code ignored; entry->is_symlink(ignored) && entry->path().filename().string().starts_with("nvme"))
        add_functions(resolved(entry->path()), what);
  }

  const sysfs& system_;
  std::set<fs::path> seen_;
  std::map<pci::sbdf, std::string> found_;
};

/// A line of mountinfo: "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue" (proc(5)).
struct mount {
  std::string_view number, where, type, source;
};

std::optional<mount> parse_mount(std::string_view line) {
  const auto all = words(line);
  const auto dash = static_cast<std::size_t>(std::find(all.begin(), all.end(), "-") - all.begin());
  if (all.size() < 5 || dash + 2 >= all.size())
    return std::nullopt;
  return mount{all[2], all[4], all[dash + 1], all[dash + 2]};
}

void add_mount(const sysfs& system, search& to, const mount& which) {
  const auto name = node_name(which.source);
  const auto what = fmt::format("{} ({})", which.where, name);
  const auto by_number = resolved(system.path(fmt::format("dev/block/{}", which.number)));
  if (!by_number.empty())
    return to.add_device(by_number, what);
  if (!which.source.starts_with("/dev/"))
    return;
  // A file system with a number of its own. bcachefs names all its devices: "/dev/nvme0n1:/dev/sda".
  to.add_btrfs(name, what);
  for (std::size_t at = 0; at < which.source.size();) {
    const auto end = std::min(which.source.find(':', at), which.source.size());
    to.add_named(node_name(which.source.substr(at, end - at)), what);
    at = end + 1;
  }
}

void add_zfs(const sysfs& system, const sysfs& udev, search& to) {
  for (const auto& name : system.entries("class/block")) {
    const auto number = system.read("class/block/" + name + "/dev").value_or(std::string{});
    const auto known = udev.read(fmt::format("b{}", trim(number))).value_or(std::string{});
    if (known.find("E:ID_FS_TYPE=zfs_member") != std::string::npos)
      to.add_named(name, fmt::format("a ZFS pool ({})", name));
  }
}

} // namespace

pci::result<std::map<pci::sbdf, std::string>> storage_functions(const sysfs& system, const sysfs& processes,
                                                                const sysfs& udev) {
  search found{system};
  const auto mountinfo = processes.read("self/mountinfo");
  if (!mountinfo)
    return tl::unexpected(mountinfo.error());
  bool has_zfs = false;
  for (const auto& line : lines(*mountinfo))
    if (const auto which = parse_mount(line)) {
      add_mount(system, found, *which);
      has_zfs = has_zfs || which->type == "zfs";
    }
  if (has_zfs)
    add_zfs(system, udev, found);
  // A kernel without swapping has no such file.
  for (const auto& line : lines(processes.read("swaps").value_or(std::string{})))
    if (const auto all = words(line); all.size() > 1 && all[1] == "partition") {
      const auto name = node_name(all[0]);
      found.add_named(name, fmt::format("swap ({})", name));
    }
  return found.take();
}

} // namespace platform::linux_host
