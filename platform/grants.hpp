// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>

#include "pci/result.hpp"
#include "platform/event_channels.hpp"

namespace platform {

/// One mapped page of a guest; unmapped when this is destroyed. While it exists Xen keeps the guest as a zombie after
/// its death.
class mapped_page {
public:
  mapped_page() = default;
  mapped_page(const mapped_page&) = delete;
  mapped_page& operator=(const mapped_page&) = delete;
  virtual ~mapped_page() = default;
  [[nodiscard]] virtual void* address() const = 0;
};

/// Grant references. May block (a page that is paged out): not from a scheduled actor.
class grants {
public:
  grants() = default;
  grants(const grants&) = delete;
  grants& operator=(const grants&) = delete;
  virtual ~grants() = default;

  /// Maps one page read-write. EINVAL: bad reference; EACCES/EPERM: not granted to this domain; ESRCH: no such domain.
  [[nodiscard]] virtual pci::result<std::unique_ptr<mapped_page>> map(domain_id domain, std::uint32_t reference) = 0;
};

} // namespace platform
