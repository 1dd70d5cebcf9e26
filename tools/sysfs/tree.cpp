// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/sysfs/tree.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <optional>
#include <string_view>

#include "tools/sysfs/formats.hpp"

namespace sysfs_program {
namespace {

constexpr std::string_view directory = "/pciback";
// The drivers that hold functions for the daemon.
constexpr std::array<std::string_view, 2> holders{"/pci-stub/unbind", "/uio_pci_generic/unbind"};

/// The name inside pciback's directory; empty: the directory itself. Nothing: another driver's.
std::optional<std::string> own_name(const std::string& path) {
  if (path == directory) {
    return std::string{};
  }
  if (path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/') {
    return path.substr(directory.size() + 1);
  }
  return std::nullopt;
}

/// As the kernel's directory takes it.
std::string relative(const std::string& path) { return path == "/" ? "." : path.substr(1); }

struct stat made(mode_t mode) {
  struct stat is {};
  is.st_mode = mode;
  is.st_nlink = S_ISDIR(mode) ? 2 : 1;
  is.st_size = S_ISREG(mode) ? 4096 : 0; // as sysfs shows its files
  return is;
}

mode_t mode_of(const pciback::file& file) {
  const mode_t readable = file.readable ? 0444 : 0;
  const mode_t writable = file.writable ? 0200 : 0;
  return S_IFREG | readable | writable;
}

} // namespace

pci::result<bool> tree::has_link(const std::string& name) const {
  const auto address = parse_device_name(name);
  if (!address) {
    return false;
  }
  return files_.links().map([&](const auto& all) { return std::find(all.begin(), all.end(), *address) != all.end(); });
}

pci::result<struct stat> tree::own_status(const std::string& name) const {
  if (name.empty()) {
    return made(S_IFDIR | 0755);
  }
  if (const auto* file = pciback::find(name)) {
    return made(mode_of(*file));
  }
  const auto there = has_link(name);
  if (!there) {
    return tl::unexpected(there.error());
  }
  return *there ? pci::result<struct stat>{made(S_IFLNK | 0777)} : pci::fail(ENOENT, name);
}

pci::result<struct stat> tree::status(const std::string& path) const {
  const auto name = own_name(path);
  return name ? own_status(*name) : kernel_.status(relative(path));
}

pci::result<std::vector<std::string>> tree::list(const std::string& path) const {
  if (const auto name = own_name(path)) {
    return files_.links().map([](const auto& links) {
      std::vector<std::string> names;
      std::transform(pciback::files.begin(), pciback::files.end(), std::back_inserter(names),
                     [](const auto& file) { return std::string{file.name}; });
      std::transform(links.begin(), links.end(), std::back_inserter(names),
                     [](const auto& address) { return pci::to_string(address); });
      return names;
    });
  }
  auto names = kernel_.list(relative(path));
  if (names && path == "/") {
    std::erase(*names, directory.substr(1));
    names->emplace_back(directory.substr(1));
  }
  return names;
}

pci::result<std::string> tree::link(const std::string& path) const {
  const auto name = own_name(path);
  if (!name) {
    return kernel_.link(relative(path));
  }
  const auto there = has_link(*name);
  if (!there || !*there) {
    return there ? pci::fail(EINVAL, path) : tl::unexpected(there.error());
  }
  // SYSFS/bus/pci/devices has the same link, one directory higher.
  return kernel_.link("../devices/" + *name).map([](const std::string& target) { return "../" + target; });
}

pci::result<std::string> tree::read(const std::string& path) const {
  const auto name = own_name(path);
  return name ? files_.read(*name) : kernel_.read(relative(path));
}

// libxl unbinds a function from the driver that its `driver` link shows, which is the daemon's holder: the daemon must
// know of it.
pci::result<void> tree::write(const std::string& path, const std::string& text) const {
  if (const auto name = own_name(path)) {
    return files_.write(*name, text);
  }
  if (std::find(holders.begin(), holders.end(), path) != holders.end()) {
    if (const auto address = parse_device_name(text)) {
      const auto held = files_.holds(*address);
      if (!held) {
        return tl::unexpected(held.error());
      }
      if (*held) {
        return files_.unbind(*address);
      }
    }
  }
  return kernel_.write(relative(path), text);
}

} // namespace sysfs_program
