// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/word_file.hpp"

#include <cerrno>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace platform::linux_host {
namespace {

constexpr std::size_t size = lasting_words::count * sizeof(std::uint64_t);

// Two processes have them mapped, one after the other, and a killed one leaves whole words.
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && sizeof(std::atomic<std::uint64_t>) == 8);

class mapped_words final : public lasting_words {
public:
  explicit mapped_words(void* memory) : memory_(memory) {}
  mapped_words(const mapped_words&) = delete;
  mapped_words& operator=(const mapped_words&) = delete;
  ~mapped_words() override { ::munmap(memory_, size); }
  words all() override { return words{static_cast<std::atomic<std::uint64_t>*>(memory_), count}; }

private:
  void* memory_;
};

} // namespace

pci::result<descriptor> open_word_file(const std::filesystem::path& file) {
  descriptor opened{::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR)};
  if (!opened)
    return pci::fail(errno, "open " + file.string());
  if (const int error = ::posix_fallocate(opened.get(), 0, static_cast<off_t>(size)); error != 0)
    return pci::fail(error, "make room for " + file.string());
  return opened;
}

pci::result<std::shared_ptr<lasting_words>> map_word_file(const descriptor& file) {
  struct stat found {};
  if (::fstat(file.get(), &found) != 0)
    return pci::fail(errno, "look at the file of lasting words");
  if (static_cast<std::size_t>(found.st_size) < size)
    return pci::fail(EINVAL, "the file of lasting words is too short");
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED)
    return pci::fail(errno, "map the file of lasting words");
  return std::make_shared<mapped_words>(memory);
}

} // namespace platform::linux_host
