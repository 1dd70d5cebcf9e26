// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/xen/hypervisor.hpp"

namespace platform::xen {

pci::result<std::unique_ptr<hypervisor>> hypervisor::open() {
  auto interrupts = physdev::open();
  if (!interrupts)
    return tl::unexpected(std::move(interrupts.error()));
  auto control = domctl::open();
  if (!control)
    return tl::unexpected(std::move(control.error()));
  return std::unique_ptr<hypervisor>(new hypervisor(std::move(*interrupts), std::move(*control)));
}

pci::result<std::uint16_t> hypervisor::map_msi(domain_id domain, const pci::sbdf& address) {
  return physdev_.map_msi(domain, address);
}

pci::result<std::uint16_t> hypervisor::map_msix(domain_id domain, const pci::sbdf& address, std::uint16_t entry,
                                                std::uint64_t table_base) {
  return physdev_.map_msix(domain, address, entry, table_base);
}

pci::result<void> hypervisor::unmap_pirq(domain_id domain, std::uint16_t pirq) {
  return physdev_.unmap_pirq(domain, pirq);
}

pci::result<void> hypervisor::prepare_msix(const msix_function& function) { return physdev_.prepare_msix(function); }

pci::result<void> hypervisor::release_msix(const msix_function& function) { return physdev_.release_msix(function); }

pci::result<void> hypervisor::restore_msi(const restorable_function& function) {
  return physdev_.restore_msi(function);
}

pci::result<void> hypervisor::assign(domain_id domain, const pci::sbdf& address, pci::rdm_policy rdm) {
  return domctl_.assign(domain, address, rdm);
}

pci::result<void> hypervisor::deassign(domain_id domain, const pci::sbdf& address) {
  return domctl_.deassign(domain, address);
}

pci::result<void> hypervisor::permit_memory(domain_id domain, std::uint64_t first, std::uint64_t count, bool allow) {
  return domctl_.permit_memory(domain, first, count, allow);
}

pci::result<void> hypervisor::permit_ports(domain_id domain, std::uint32_t first, std::uint32_t count, bool allow) {
  return domctl_.permit_ports(domain, first, count, allow);
}

pci::result<void> hypervisor::permit_irq(domain_id domain, std::uint32_t pirq, bool allow) {
  return domctl_.permit_irq(domain, pirq, allow);
}

pci::result<void> hypervisor::map_gsi(domain_id domain, std::uint32_t gsi) { return physdev_.map_gsi(domain, gsi); }

pci::result<bool> hypervisor::has_guest(const pci::sbdf& address) { return domctl_.has_guest(address); }

unsigned hypervisor::vectors_a_guest() { return domctl_.vectors_a_guest(); }

unsigned hypervisor::processors() { return domctl_.processors(); }

pci::result<bool> hypervisor::line_shared(std::uint32_t gsi) { return physdev_.line_shared(gsi); }
pci::result<void> hypervisor::crash(domain_id domain) { return domctl_.crash(domain); }
pci::result<void> hypervisor::pause(domain_id domain) { return domctl_.pause(domain); }

std::optional<domain_info> hypervisor::domain(domain_id domain) { return domctl_.domain(domain); }

} // namespace platform::xen
