// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/directory_records.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/descriptor.hpp"
#include "platform/linux/whole_file.hpp"
#include "platform/linux/word_file.hpp"

namespace platform::linux_host {
namespace {

constexpr const char* next_suffix = ".next"; // being written: of no use to anybody else
constexpr const char* stale_suffix = ".stale";
constexpr const char* bad_suffix = ".bad";

int unlink_if_there(const std::filesystem::path& file) {
  return ::unlink(file.c_str()) == 0 || errno == ENOENT ? 0 : errno;
}

} // namespace

pci::result<std::shared_ptr<directory_records>> directory_records::open(std::filesystem::path directory,
                                                                        std::string suffix) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error)
    return pci::fail(error.value(), "make the directory " + directory.string());
  return std::make_shared<directory_records>(std::move(directory), std::move(suffix));
}

std::filesystem::path directory_records::path(const std::string& name, const std::string& with) const {
  return directory_ / (name + with);
}

pci::result<std::vector<std::string>> directory_records::names() {
  std::vector<std::string> all;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory_, error), end; !error && entry != end;
       entry.increment(error))
    if (entry->path().extension() == suffix_ || entry->path().extension() == stale_suffix)
      all.push_back(entry->path().stem().string());
  if (error)
    return pci::fail(error.value(), "list " + directory_.string());
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end()); // the writer was killed before the stale one was removed
  return all;
}

// What was written last is no longer stale.
std::filesystem::path directory_records::current(const std::string& name) const {
  std::error_code error;
  const auto file = path(name, suffix_), stale = path(name, stale_suffix);
  return !std::filesystem::exists(file, error) && std::filesystem::exists(stale, error) ? stale : file;
}

bool directory_records::doubted(const std::string& name) { return current(name).extension() == stale_suffix; }

pci::result<void> directory_records::doubt(const std::string& name) {
  const auto file = path(name, suffix_), stale = path(name, stale_suffix);
  if (::rename(file.c_str(), stale.c_str()) != 0 && errno != ENOENT)
    return pci::fail(errno, "rename " + file.string());
  return {};
}

pci::result<std::string> directory_records::read(const std::string& name) {
  const auto file = current(name);
  const descriptor opened{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (!opened)
    return pci::fail(errno, "open " + file.string());
  std::string text;
  std::array<char, 4096> part{};
  while (text.size() <= largest) {
    const ssize_t count = ::read(opened.get(), part.data(), part.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return pci::fail(errno, "read " + file.string());
    if (count == 0)
      return text;
    text.append(part.data(), static_cast<std::size_t>(count));
  }
  return pci::fail(EFBIG, "read " + file.string());
}

// Not flushed to a disk: what the journal says is true for as long as the kernel runs, and no longer.
pci::result<void> directory_records::write(const std::string& name, std::string_view text) {
  const auto next = path(name, next_suffix), file = path(name, suffix_);
  if (text.size() > largest)
    return pci::fail(EFBIG, "write " + file.string());
  if (auto written = write_whole(next, text, S_IRUSR | S_IWUSR); !written)
    return written;
  if (::rename(next.c_str(), file.c_str()) != 0)
    return pci::fail(errno, "rename " + next.string());
  static_cast<void>(unlink_if_there(path(name, stale_suffix)));
  return {};
}

pci::result<void> directory_records::remove(const std::string& name) {
  for (const auto& with : {suffix_, std::string(stale_suffix)})
    if (const int error = unlink_if_there(path(name, with)); error != 0)
      return pci::fail(error, "remove " + path(name, with).string());
  return {};
}

pci::result<void> directory_records::set_aside(const std::string& name) {
  const auto file = current(name), aside = path(name, bad_suffix);
  if (::rename(file.c_str(), aside.c_str()) != 0)
    return pci::fail(errno, "rename " + file.string());
  return {};
}

pci::result<descriptor> directory_records::open_lasting() const { return open_word_file(directory_ / "words"); }

pci::result<std::shared_ptr<lasting_words>> directory_records::lasting() {
  return open_lasting().and_then([](const descriptor& file) { return map_word_file(file); });
}

} // namespace platform::linux_host
