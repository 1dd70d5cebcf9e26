// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "pci/function.hpp"
#include "pci/protocol/reset.hpp"
#include "platform/records.hpp"

namespace actors {

/// Which reset methods have killed cards since the host booted, by the cards' ids: a card that does not come back from
/// one does not come back the next time, nor does another of its kind. Kept as one record beside the journal's, so that
/// it outlives the daemon; that of an earlier boot is forgotten. Thread-safe.
class reset_memory {
public:
  static constexpr std::string_view record_name = "resets";

  /// Without records it ends with the process. `boot`: what tells this boot of the host from another.
  explicit reset_memory(std::shared_ptr<platform::records> where = {}, std::string boot = {});

  [[nodiscard]] bool is_fatal(const pci::function& what, pci::reset_method how);
  void note_fatal(const pci::function& what, pci::reset_method how);

private:
  static std::string entry_of(const pci::function& what, pci::reset_method how);

  std::mutex mutex_;
  std::shared_ptr<platform::records> where_;
  std::string boot_;
  std::set<std::string> fatal_; ///< "8086:10d3 flr"
};

} // namespace actors
