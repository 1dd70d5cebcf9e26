// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "platform/hypervisor.hpp"
#include "platform/xen/domctl.hpp"
#include "platform/xen/physdev.hpp"

namespace platform::xen {

/// The real Xen: interrupts through the stable physdev hypercalls, the toolstack's half through libxenctrl.
class hypervisor final : public platform::hypervisor {
public:
  [[nodiscard]] static pci::result<std::unique_ptr<hypervisor>> open();

  [[nodiscard]] pci::result<std::uint16_t> map_msi(domain_id domain, const pci::sbdf& address) override;
  [[nodiscard]] pci::result<std::uint16_t> map_msix(domain_id domain, const pci::sbdf& address, std::uint16_t entry,
                                                    std::uint64_t table_base) override;
  [[nodiscard]] pci::result<void> unmap_pirq(domain_id domain, std::uint16_t pirq) override;
  [[nodiscard]] pci::result<void> prepare_msix(const msix_function& function) override;
  [[nodiscard]] pci::result<void> release_msix(const msix_function& function) override;
  [[nodiscard]] pci::result<void> restore_msi(const restorable_function& function) override;

  [[nodiscard]] pci::result<void> assign(domain_id domain, const pci::sbdf& address, pci::rdm_policy rdm) override;
  [[nodiscard]] pci::result<void> deassign(domain_id domain, const pci::sbdf& address) override;
  [[nodiscard]] pci::result<void> permit_memory(domain_id domain, std::uint64_t first, std::uint64_t count,
                                                bool allow) override;
  [[nodiscard]] pci::result<void> permit_ports(domain_id domain, std::uint32_t first, std::uint32_t count,
                                               bool allow) override;
  [[nodiscard]] pci::result<void> permit_irq(domain_id domain, std::uint32_t pirq, bool allow) override;
  [[nodiscard]] pci::result<void> map_gsi(domain_id domain, std::uint32_t gsi) override;

  [[nodiscard]] pci::result<bool> has_guest(const pci::sbdf& address) override;
  [[nodiscard]] unsigned vectors_a_guest() override;
  [[nodiscard]] unsigned processors() override;
  [[nodiscard]] pci::result<bool> line_shared(std::uint32_t gsi) override;
  [[nodiscard]] pci::result<void> crash(domain_id domain) override;
  [[nodiscard]] pci::result<void> pause(domain_id domain) override;
  [[nodiscard]] std::optional<domain_info> domain(domain_id domain) override;

  /// Whether Xen drives an IOMMU. Without one a guest's DMA cannot be confined, and MSI cannot be mapped.
  [[nodiscard]] pci::result<bool> has_iommu() const { return domctl_.has_iommu(); }

private:
  hypervisor(physdev interrupts, domctl control) : physdev_(std::move(interrupts)), domctl_(std::move(control)) {}

  physdev physdev_;
  domctl domctl_;
};

} // namespace platform::xen
