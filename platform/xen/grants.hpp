// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "platform/grants.hpp"

struct xengntdev_handle;

namespace platform::xen {

/// Grant references through /dev/xen/gntdev. Safe from any thread.
class grants final : public platform::grants {
public:
  /// ENOENT: no /dev/xen/gntdev. EACCES: not root.
  [[nodiscard]] static pci::result<std::unique_ptr<grants>> open();

  [[nodiscard]] pci::result<std::unique_ptr<mapped_page>> map(domain_id domain, std::uint32_t reference) override;

private:
  explicit grants(std::shared_ptr<xengntdev_handle> table) : table_(std::move(table)) {}

  std::shared_ptr<xengntdev_handle> table_; ///< shared with the pages, which need it to be unmapped
};

} // namespace platform::xen
