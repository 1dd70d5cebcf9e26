// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pci/result.hpp"

namespace platform {

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

private:
  std::mutex mutex_;
  std::map<std::string, std::string> texts_;
  std::set<std::string> doubted_;
};

} // namespace platform
