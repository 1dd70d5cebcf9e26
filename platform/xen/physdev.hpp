// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "platform/hypervisor.hpp"

namespace platform::xen {

/// The physdev hypercalls on a guest's interrupts. They are stable from one Xen release to the next.
/// Source: xen/include/public/physdev.h. Safe from any thread.
class physdev {
public:
  /// One PHYSDEVOP_* with its argument, which Xen may write to. Returns 0 or a positive errno value.
  using hypercall = std::function<int(unsigned operation, void* argument, std::size_t size)>;
  explicit physdev(hypercall call) : call_(std::move(call)) {}
  /// Through libxencall. ENOENT: no /dev/xen/privcmd or /dev/xen/hypercall. EACCES: not root.
  [[nodiscard]] static pci::result<physdev> open();

  [[nodiscard]] pci::result<std::uint16_t> map_msi(domain_id domain, const pci::sbdf& address) const;
  [[nodiscard]] pci::result<std::uint16_t> map_msix(domain_id domain, const pci::sbdf& address, std::uint16_t entry,
                                                    std::uint64_t table_base) const;
  [[nodiscard]] pci::result<void> map_gsi(domain_id domain, std::uint32_t gsi) const;
  [[nodiscard]] pci::result<void> unmap_pirq(domain_id domain, std::uint16_t pirq) const;
  [[nodiscard]] pci::result<void> prepare_msix(const msix_function& function) const;
  [[nodiscard]] pci::result<void> release_msix(const msix_function& function) const;
  [[nodiscard]] pci::result<void> restore_msi(const restorable_function& function) const;
  [[nodiscard]] pci::result<bool> line_shared(std::uint32_t gsi) const;

private:
  hypercall call_;
};

} // namespace platform::xen
