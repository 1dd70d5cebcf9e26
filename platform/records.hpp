// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pci/result.hpp"

namespace platform {

/// Words of memory that stay as they are when the process that has written them is killed, and are there for the next
/// one. All are 0 at first. Each is read and written as a whole.
class lasting_words {
public:
  static constexpr std::size_t count = 4096;
  using words = std::span<std::atomic<std::uint64_t>, count>;

  lasting_words() = default;
  lasting_words(const lasting_words&) = delete;
  lasting_words& operator=(const lasting_words&) = delete;
  virtual ~lasting_words() = default;
  [[nodiscard]] virtual words all() = 0;
};

/// Small texts under names, which outlive the process that wrote them: what the journal is kept in. Quick; thread-safe.
class records {
public:
  records() = default;
  records(const records&) = delete;
  records& operator=(const records&) = delete;
  virtual ~records() = default;

  [[nodiscard]] virtual pci::result<std::vector<std::string>> names() = 0;
  /// ENOENT: no such record. EFBIG: longer than any that was written.
  [[nodiscard]] virtual pci::result<std::string> read(const std::string& name) = 0;
  /// Replaces the record as a whole: whoever reads it sees the old text or the new, also when the writer is killed.
  [[nodiscard]] virtual pci::result<void> write(const std::string& name, std::string_view text) = 0;
  /// Removing what is not there is success.
  [[nodiscard]] virtual pci::result<void> remove(const std::string& name) = 0;
  /// Says of a record that could not be replaced that what it tells may be out of date, until it is replaced. Needs no
  /// space.
  [[nodiscard]] virtual pci::result<void> doubt(const std::string& name) = 0;
  [[nodiscard]] virtual bool doubted(const std::string& name) = 0;
  /// Keeps the record for a person to look at, under another name that `names` does not list.
  [[nodiscard]] virtual pci::result<void> set_aside(const std::string& name) = 0;
  /// For what is too quick for a record. Each call answers with the same words. ENOSPC: there is no room for them.
  [[nodiscard]] virtual pci::result<std::shared_ptr<lasting_words>> lasting() = 0;
};

/// Records that end with this object.
class memory_records final : public records {
public:
  pci::result<std::vector<std::string>> names() override;
  pci::result<std::string> read(const std::string& name) override;
  pci::result<void> write(const std::string& name, std::string_view text) override;
  pci::result<void> remove(const std::string& name) override;
  pci::result<void> doubt(const std::string& name) override;
  bool doubted(const std::string& name) override;
  pci::result<void> set_aside(const std::string& name) override;
  pci::result<std::shared_ptr<lasting_words>> lasting() override { return words_; }

private:
  struct memory_words final : lasting_words {
    words all() override { return words{values}; }
    std::array<std::atomic<std::uint64_t>, count> values{};
  };

  std::mutex mutex_;
  std::map<std::string, std::string> texts_;
  std::set<std::string> doubted_;
  std::shared_ptr<lasting_words> words_ = std::make_shared<memory_words>();
};

} // namespace platform
