// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/sysfs/drivers.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <memory>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace sysfs_program {
namespace {

// No attribute of sysfs is longer than a page.
constexpr std::size_t longest_file = 65536;

/// Owns a descriptor.
class opened {
public:
  explicit opened(int number) : number_(number) {}
  opened(const opened&) = delete;
  opened& operator=(const opened&) = delete;
  ~opened() {
    if (number_ >= 0) {
      ::close(number_);
    }
  }
  [[nodiscard]] int get() const { return number_; }

private:
  int number_;
};

tl::unexpected<pci::failure> failed(const std::string& path) { return pci::fail(errno, path); }

} // namespace

pci::result<drivers> drivers::open(const std::string& sysfs) {
  const auto path = sysfs + "/bus/pci/drivers";
  const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) {
    return failed(path);
  }
  return drivers(directory);
}

drivers::drivers(drivers&& other) noexcept : directory_(std::exchange(other.directory_, -1)) {}

drivers::~drivers() {
  if (directory_ >= 0) {
    ::close(directory_);
  }
}

bool drivers::is_sysfs() const {
  struct statfs is {};
  return ::fstatfs(directory_, &is) == 0 && is.f_type == SYSFS_MAGIC;
}

pci::result<struct stat> drivers::status(const std::string& path) const {
  struct stat is {};
  if (::fstatat(directory_, path.c_str(), &is, AT_SYMLINK_NOFOLLOW) != 0) {
    return failed(path);
  }
  return is;
}

pci::result<std::vector<std::string>> drivers::list(const std::string& path) const {
  const int number = ::openat(directory_, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (number < 0) {
    return failed(path);
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(number), ::closedir);
  if (!directory) {
    ::close(number);
    return failed(path);
  }
  std::vector<std::string> names;
  while (const auto* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") {
      names.push_back(name);
    }
  }
  return names;
}

pci::result<std::string> drivers::link(const std::string& path) const {
  std::array<char, PATH_MAX> target{};
  const auto size = ::readlinkat(directory_, path.c_str(), target.data(), target.size());
  if (size < 0) {
    return failed(path);
  }
  return std::string(target.data(), static_cast<std::size_t>(size));
}

pci::result<std::string> drivers::read(const std::string& path) const {
  const opened file(::openat(directory_, path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (file.get() < 0) {
    return failed(path);
  }
  std::string text;
  std::array<char, 4096> piece{};
  while (text.size() < longest_file) {
    const auto size = ::read(file.get(), piece.data(), piece.size());
    if (size < 0) {
      return failed(path);
    }
    if (size == 0) {
      break;
    }
    text.append(piece.data(), static_cast<std::size_t>(size));
  }
  return text;
}

pci::result<void> drivers::write(const std::string& path, const std::string& text) const {
  const opened file(::openat(directory_, path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
  if (file.get() < 0 || ::write(file.get(), text.data(), text.size()) < 0) {
    return failed(path);
  }
  return {};
}

} // namespace sysfs_program
