// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/sysfs.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include "platform/descriptor.hpp"

namespace platform::linux_host {
namespace {

constexpr std::size_t largest = 0x1000000;

} // namespace

bool sysfs::exists(const std::string& file) const {
  std::error_code ignored;
  return std::filesystem::exists(path(file), ignored);
}

pci::result<std::string> sysfs::read(const std::string& file) const {
  const auto name = path(file);
  const descriptor opened{::open(name.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!opened)
    return pci::fail(errno, "open " + name.string());
  std::string content;
  std::array<char, 4096> part{};
  for (;;) {
    const ssize_t count = ::read(opened.get(), part.data(), part.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return pci::fail(errno, "read " + name.string());
    if (count == 0)
      break;
    if (content.size() + static_cast<std::size_t>(count) > largest)
      return pci::fail(EFBIG, "read " + name.string());
    content.append(part.data(), static_cast<std::size_t>(count));
  }
  return content;
}

pci::result<void> sysfs::write(const std::string& file, std::string_view value) {
  const auto name = path(file);
  const descriptor opened{::open(name.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC)};
  if (!opened)
    return pci::fail(errno, "open " + name.string());
  if (::write(opened.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
    return pci::fail(errno, "write " + name.string());
  return {};
}

pci::result<std::string> sysfs::target(const std::string& link) const {
  std::error_code error;
  const auto target = std::filesystem::read_symlink(path(link), error);
  if (error)
    return pci::fail(error.value(), "read link " + path(link).string());
  return target.filename().string();
}

std::vector<std::string> sysfs::entries(const std::string& directory) const {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(path(directory), error), end; !error && entry != end;
       entry.increment(error))
    names.push_back(entry->path().filename().string());
  std::ranges::sort(names);
  return names;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view space = " \t\r\n";
  const auto first = text.find_first_not_of(space);
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(space) - first + 1);
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  text = trim(text);
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal)
    text.remove_prefix(2);
  std::uint64_t number = 0;
  const auto* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number, hexadecimal ? 16 : 10);
  if (read.ec != std::errc{} || read.ptr != end)
    return std::nullopt;
  return number;
}

} // namespace platform::linux_host
