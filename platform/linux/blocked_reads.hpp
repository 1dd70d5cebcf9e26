// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pci/result.hpp"
#include "platform/descriptor.hpp"

namespace platform::linux_host {

/// Reads that do not end before they are let go. What the keeper of the removal guards needs, and a test's stand-in can
/// be. Not thread-safe.
class blocked_reads {
public:
  /// `waits`: the read of this slot is known to wait; otherwise it has ended, with 0 or errno.
  using listener = std::function<void(std::size_t slot, bool waits, int error)>;

  blocked_reads() = default;
  blocked_reads(const blocked_reads&) = delete;
  blocked_reads& operator=(const blocked_reads&) = delete;
  virtual ~blocked_reads() = default;

  /// How many at once.
  [[nodiscard]] virtual std::size_t slots() const = 0;
  /// Begins a read of a byte of the file, in a slot whose last read has ended. EAGAIN: no thread could be made.
  [[nodiscard]] virtual pci::result<void> begin(std::size_t slot, const std::string& file) = 0;
  /// Lets the slot's read end, once it has been seen to wait.
  virtual void fill(std::size_t slot) = 0;
  /// The slot's read takes processor time, which it does not while it waits as it should.
  [[nodiscard]] virtual bool spins(std::size_t slot) const = 0;
  /// Readable when there is something to tell.
  [[nodiscard]] virtual std::vector<int> descriptors() const = 0;
  virtual void tell(const listener& whom) = 0;
};

/// By userfaultfd: each read's byte goes to a page that is missing, and whoever copies there waits until it is filled.
/// The caller blocks all signals first, in all its threads: the kernel's own fault ends for SIGKILL alone, and with any
/// other signal pending it is tried again and again, which takes a whole processor.
class userfault_reads final : public blocked_reads {
public:
  /// ENOTSUP: this kernel has no userfaultfd. EPERM, EACCES: it has, and does not let this process.
  [[nodiscard]] static pci::result<std::unique_ptr<userfault_reads>> open(std::size_t slots);
  ~userfault_reads() override;

  [[nodiscard]] std::size_t slots() const override { return readers_.size(); }
  [[nodiscard]] pci::result<void> begin(std::size_t slot, const std::string& file) override;
  void fill(std::size_t slot) override;
  [[nodiscard]] bool spins(std::size_t slot) const override;
  [[nodiscard]] std::vector<int> descriptors() const override { return {faults_.get(), ended_read_.get()}; }
  void tell(const listener& whom) override;

private:
  struct reader {
    std::string file;
    char* page = nullptr;
    int report = -1; ///< the pipe's end that says how the read ended
    std::size_t slot = 0;
    clockid_t clock{};
  };
  userfault_reads(descriptor faults, char* pages, std::size_t slots) : faults_(std::move(faults)), pages_(pages) {
    readers_.resize(slots);
  }
  static void* read_one(void* which);

  descriptor faults_, ended_read_, ended_write_;
  char* pages_;
  std::vector<reader> readers_;
};

} // namespace platform::linux_host
