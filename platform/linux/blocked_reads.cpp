// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/blocked_reads.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <ctime>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

namespace platform::linux_host {
namespace {

constexpr long spinning = 200'000'000; ///< nanoseconds of processor time; to get into the read takes far less than one
constexpr std::size_t stack_size = std::size_t{64} << 10U;

std::size_t page_size() {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

struct ending {
  std::size_t slot;
  int error;
};

/// The device (since Linux 6.1) asks for no capability of whoever may open it; the system call does, for faults of the
/// kernel's own, without which the copy would fail instead of waiting.
descriptor make_userfaultfd() {
  const int flags = O_CLOEXEC | O_NONBLOCK;
  if (const descriptor maker{::open("/dev/userfaultfd", O_RDWR | O_CLOEXEC)}; maker)
    if (descriptor made{::ioctl(maker.get(), USERFAULTFD_IOC_NEW, flags)}; made)
      return made;
  return descriptor{static_cast<int>(::syscall(SYS_userfaultfd, flags))};
}

tl::unexpected<pci::failure> not_possible(int error) {
  return error == ENOSYS ? pci::fail(ENOTSUP, "this kernel has no userfaultfd (CONFIG_USERFAULTFD)")
                         : pci::fail(error, "no userfaultfd: /dev/userfaultfd must be accessible");
}

} // namespace

pci::result<std::unique_ptr<userfault_reads>> userfault_reads::open(std::size_t slots) {
  auto faults = make_userfaultfd();
  if (!faults)
    return not_possible(errno);
  uffdio_api api{};
  api.api = UFFD_API;
  if (::ioctl(faults.get(), UFFDIO_API, &api) != 0)
    return not_possible(errno);
  const auto size = slots * page_size();
  void* pages = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED)
    return pci::fail(errno, "no memory for the pages of removal guards");
  std::unique_ptr<userfault_reads> opened(new userfault_reads(std::move(faults), static_cast<char*>(pages), slots));
  uffdio_register area{};
  area.range = {reinterpret_cast<std::uintptr_t>(pages), size};
  area.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (::ioctl(opened->faults_.get(), UFFDIO_REGISTER, &area) != 0)
    return not_possible(errno);
  // A child would have the pages without anybody who fills them. And no huge page may fill several at once.
  std::array<int, 2> ends{};
  if (::madvise(pages, size, MADV_DONTFORK) != 0 || ::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0)
    return pci::fail(errno, "removal guards cannot be made");
  static_cast<void>(::madvise(pages, size, MADV_NOHUGEPAGE));
  opened->ended_read_ = descriptor{ends[0]};
  opened->ended_write_ = descriptor{ends[1]};
  return opened;
}

// A reader may be anywhere in its read: the pages stay, and end with the process.
userfault_reads::~userfault_reads() = default;

// One byte: it is read from the function, and then copied, which waits. With pread no lock on the file's position is
// held.
void* userfault_reads::read_one(void* which) {
  const auto& self = *static_cast<reader*>(which);
  ending how{self.slot, 0};
  {
    const descriptor file{::open(self.file.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!file || ::pread(file.get(), self.page, 1, 0) < 0)
      how.error = errno;
  }
  // Small enough to be written whole; the pipe has room for one of each slot.
  static_cast<void>(!::write(self.report, &how, sizeof how));
  return nullptr;
}

pci::result<void> userfault_reads::begin(std::size_t slot, const std::string& file) {
  auto& one = readers_.at(slot);
  one = {file, pages_ + slot * page_size(), ended_write_.get(), slot, {}};
  if (::madvise(one.page, page_size(), MADV_DONTNEED) != 0) // missing again
    return pci::fail(errno, "the page of a removal guard cannot be emptied");
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stack_size);
  pthread_t thread{};
  const int made = ::pthread_create(&thread, &attributes, read_one, &one);
  pthread_attr_destroy(&attributes);
  if (made != 0)
    return pci::fail(made, "no thread for a removal guard");
  ::pthread_getcpuclockid(thread, &one.clock); // while it can still be joined, so that there is one
  ::pthread_detach(thread);
  return {};
}

void userfault_reads::fill(std::size_t slot) {
  uffdio_zeropage zero{};
  zero.range = {reinterpret_cast<std::uintptr_t>(readers_.at(slot).page), page_size()};
  // EAGAIN: the process' memory map changes just now.
  while (::ioctl(faults_.get(), UFFDIO_ZEROPAGE, &zero) != 0 && errno == EAGAIN) {
  }
}

bool userfault_reads::spins(std::size_t slot) const {
  timespec used{};
  return ::clock_gettime(readers_.at(slot).clock, &used) == 0 && (used.tv_sec != 0 || used.tv_nsec > spinning);
}

void userfault_reads::tell(const listener& whom) {
  uffd_msg fault{};
  while (::read(faults_.get(), &fault, sizeof fault) == static_cast<ssize_t>(sizeof fault)) {
    if (fault.event != UFFD_EVENT_PAGEFAULT)
      continue;
    const auto slot = (fault.arg.pagefault.address - reinterpret_cast<std::uintptr_t>(pages_)) / page_size();
    if (slot < readers_.size())
      whom(slot, true, 0);
  }
  ending how{};
  while (::read(ended_read_.get(), &how, sizeof how) == static_cast<ssize_t>(sizeof how))
    whom(how.slot, false, how.error);
}

} // namespace platform::linux_host
