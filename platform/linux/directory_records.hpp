// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "platform/descriptor.hpp"
#include "platform/records.hpp"

namespace platform::linux_host {

/// One file a record in a directory, "NAME.json" or with another suffix, or "NAME.stale" while it is doubted; what was
/// set aside is "NAME.bad", and "words" is what is lasting. Files are for root alone.
class directory_records final : public records {
public:
  static constexpr std::size_t largest = 0x10000; ///< bytes of a record

  /// Makes the directory when it is not there.
  [[nodiscard]] static pci::result<std::shared_ptr<directory_records>> open(std::filesystem::path directory,
                                                                            std::string suffix = ".json");
  explicit directory_records(std::filesystem::path directory, std::string suffix = ".json")
      : directory_(std::move(directory)), suffix_(std::move(suffix)) {}

  pci::result<std::vector<std::string>> names() override;
  pci::result<std::string> read(const std::string& name) override;
  pci::result<void> write(const std::string& name, std::string_view text) override;
  pci::result<void> remove(const std::string& name) override;
  pci::result<void> doubt(const std::string& name) override;
  bool doubted(const std::string& name) override;
  pci::result<void> set_aside(const std::string& name) override;
  pci::result<std::shared_ptr<lasting_words>> lasting() override;
  /// The file that they lie in, for another process to map.
  [[nodiscard]] pci::result<descriptor> open_lasting() const;

private:
  [[nodiscard]] std::filesystem::path current(const std::string& name) const;
  [[nodiscard]] std::filesystem::path path(const std::string& name, const std::string& suffix) const;
  std::filesystem::path directory_;
  std::string suffix_;
};

} // namespace platform::linux_host
