// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "platform/hypervisor.hpp"

namespace platform::xen {

/// What only libxenctrl can ask of Xen: its interface changes with every release of Xen, so one translation unit knows
/// it. Safe from any thread.
class domctl {
public:
  /// ENOENT: no /dev/xen/privcmd. EACCES: not root.
  [[nodiscard]] static pci::result<domctl> open();

  [[nodiscard]] pci::result<void> assign(domain_id domain, const pci::sbdf& address, pci::rdm_policy rdm) const;
  [[nodiscard]] pci::result<void> deassign(domain_id domain, const pci::sbdf& address) const;
  /// EINVAL, from this side, for a range that wraps or that ends beyond what an address can name.
  [[nodiscard]] pci::result<void> permit_memory(domain_id domain, std::uint64_t first, std::uint64_t count,
                                                bool allow) const;
  [[nodiscard]] pci::result<void> permit_ports(domain_id domain, std::uint32_t first, std::uint32_t count,
                                               bool allow) const;
  [[nodiscard]] pci::result<void> permit_irq(domain_id domain, std::uint32_t pirq, bool allow) const;
  [[nodiscard]] pci::result<bool> has_guest(const pci::sbdf& address) const;
  [[nodiscard]] unsigned vectors_a_guest() const;
  [[nodiscard]] unsigned processors() const;
  /// Stops a domain as if it had crashed.
  [[nodiscard]] pci::result<void> crash(domain_id domain) const;
  [[nodiscard]] pci::result<void> pause(domain_id domain) const;
  [[nodiscard]] std::optional<domain_info> domain(domain_id domain) const;
  /// Whether Xen drives an IOMMU: XEN_SYSCTL_PHYSCAP_directio.
  [[nodiscard]] pci::result<bool> has_iommu() const;

  /// Why this library cannot be used with this hypervisor, in one line; empty: it can, or there is none.
  [[nodiscard]] static std::optional<std::string> obstacle();

private:
  struct connection; ///< libxenctrl's handle
  explicit domctl(std::shared_ptr<connection> xen) : xen_(std::move(xen)) {}

  std::shared_ptr<connection> xen_;
};

} // namespace platform::xen
