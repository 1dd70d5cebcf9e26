// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "platform/grants.hpp"

namespace platform::sim {

/// A page of a guest's memory.
struct alignas(4096) guest_page {
  std::array<std::byte, 4096> bytes{};
};

/// Xen's grant tables. A page that is mapped stays when its domain dies; who maps it is told to `released` when the
/// last mapping of a domain goes.
class grants final : public platform::grants {
public:
  explicit grants(std::function<void(domain_id)> released) : released_(std::move(released)) {}

  pci::result<std::unique_ptr<mapped_page>> map(domain_id domain, std::uint32_t reference) override;

  // The guests' side
  void add_domain(domain_id domain);
  /// Grants a page of the domain to `to`.
  [[nodiscard]] std::uint32_t grant(domain_id domain, std::shared_ptr<guest_page> page, domain_id to = 0,
                                    bool read_only = false);
  /// gnttab_end_foreign_access: false while it is mapped.
  bool revoke(domain_id domain, std::uint32_t reference);
  /// The domain dies: nothing of it can be mapped any more.
  void kill_domain(domain_id domain);
  void remove_domain(domain_id domain);

  [[nodiscard]] unsigned mapped(domain_id domain) const;
  /// How often a page was mapped, by anybody.
  [[nodiscard]] std::uint64_t maps() const {
    const std::lock_guard hold(mutex_);
    return maps_;
  }

private:
  friend class sim_mapping;
  struct entry {
    std::shared_ptr<guest_page> page;
    domain_id to = 0;
    bool read_only = false;
    unsigned mappings = 0;
  };
  struct table {
    std::map<std::uint32_t, entry> entries;
    std::uint32_t next = 8; ///< the first ones are reserved
    unsigned mappings = 0;
    bool dying = false;
  };
  void unmapped(domain_id domain, std::uint32_t reference);

  mutable std::mutex mutex_;
  std::map<domain_id, table> tables_;
  std::uint64_t maps_ = 0;
  std::function<void(domain_id)> released_;
};

} // namespace platform::sim
