// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "platform/records.hpp"

namespace test {

/// Records in memory that count what is written, and can refuse to take it or lose it.
class counted_records final : public platform::records {
public:
  pci::result<std::vector<std::string>> names() override { return inside_.names(); }
  pci::result<std::string> read(const std::string& name) override { return inside_.read(name); }
  pci::result<void> write(const std::string& name, std::string_view text) override {
    ++writes;
    if (failing) {
      return pci::fail(ENOSPC, "no space");
    }
    return dead || lost.contains(name) ? pci::result<void>{} : inside_.write(name, text);
  }
  pci::result<void> remove(const std::string& name) override {
    return dead || lost.contains(name) ? pci::result<void>{} : inside_.remove(name);
  }
  pci::result<void> doubt(const std::string& name) override { return dead ? pci::result<void>{} : inside_.doubt(name); }
  bool doubted(const std::string& name) override { return inside_.doubted(name); }
  pci::result<void> set_aside(const std::string& name) override { return inside_.set_aside(name); }

  pci::result<std::shared_ptr<platform::lasting_words>> lasting() override {
    if (failing) {
      return pci::fail(ENOSPC, "no space");
    }
    return inside_.lasting();
  }

  /// Past all that.
  platform::records& inside() { return inside_; }

  unsigned writes = 0;
  bool failing = false;       ///< no space
  bool dead = false;          ///< the daemon has been killed: nothing of it is written any more
  std::set<std::string> lost; ///< of these likewise: the daemon will have been killed before it wrote them

private:
  platform::memory_records inside_;
};

} // namespace test
