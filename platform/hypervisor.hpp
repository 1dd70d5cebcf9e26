// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "pci/address.hpp"
#include "pci/config_space/port.hpp"
#include "pci/function.hpp"
#include "pci/policy.hpp"
#include "pci/result.hpp"
#include "platform/event_channels.hpp"

namespace platform {

inline constexpr domain_id domid_io = 0x7ff1; ///< DOMID_IO: the quarantine

/// A function that had an MSI-X capability when it was held. Xen dereferences a null pointer and the host dies when
/// prepare_msix or release_msix names another, so those calls take this type, and it can only be had from a reference
/// copy: a capability that a guest has made the card grow since is none in Xen's eyes.
class msix_function {
public:
  /// Empty: no MSI-X in the reference copy.
  [[nodiscard]] static std::optional<msix_function> seen_in(const pci::function& reference);
  [[nodiscard]] const pci::sbdf& address() const { return address_; }

private:
  explicit msix_function(const pci::sbdf& address) : address_(address) {}
  pci::sbdf address_;
};

/// A function whose message interrupts Xen can write into the hardware again. Xen stops the host (BUG in
/// pci_restore_msi_state) when it cannot reach a mask that it has to write; so memory decode has been seen on, and the
/// type can only be had by looking, right before the call.
class restorable_function {
public:
  /// `decoder`: the function whose COMMAND decides, for a virtual function its physical one. Empty: neither MSI nor
  /// MSI-X in the reference copy, so nothing to restore. ENXIO: memory decode is off. ENODEV: one of them does not
  /// answer.
  [[nodiscard]] static pci::result<std::optional<restorable_function>>
  look(const pci::function& reference, pci::config_port& hardware, pci::config_port& decoder);
  [[nodiscard]] const pci::sbdf& address() const { return address_; }

private:
  explicit restorable_function(const pci::sbdf& address) : address_(address) {}
  pci::sbdf address_;
};

/// What `extra_guest_irqs=` of Xen's command line comes to for a guest that is not dom0. The last counts; 32: none is
/// given.
[[nodiscard]] unsigned extra_guest_irqs(std::string_view command_line);

/// What the hypervisor says of a domain.
struct domain_info {
  bool dying = false;
  bool shutdown = false;
  bool paused = false; ///< by its toolstack
  bool hvm = false;    ///< HVM or PVH: it has no PCI frontend, and a device model (if any) maps its vectors
};

/// Hypercalls. Errors are Xen's own numbers. Quick, except `assign` and `deassign` (they flush the IOMMU); safe from
/// any thread.
class hypervisor {
public:
  hypervisor() = default;
  hypervisor(const hypervisor&) = delete;
  hypervisor& operator=(const hypervisor&) = delete;
  virtual ~hypervisor() = default;

  /// PHYSDEVOP_map_pirq, MAP_PIRQ_TYPE_MSI_SEG. ENODEV: not assigned to that domain. ENOSPC: the guest is out of pirqs.
  [[nodiscard]] virtual pci::result<std::uint16_t> map_msi(domain_id domain, const pci::sbdf& address) = 0;
  /// Likewise for one MSI-X entry. ENODATA: not prepared. ENXIO: memory decode is off. EINVAL: entry beyond the table.
  /// EINVAL too, from this side, for `table_base` 0, which Xen would take for MSI.
  [[nodiscard]] virtual pci::result<std::uint16_t> map_msix(domain_id domain, const pci::sbdf& address,
                                                            std::uint16_t entry, std::uint64_t table_base) = 0;
  /// PHYSDEVOP_unmap_pirq. EINVAL: not mapped. ESRCH: the domain is gone.
  [[nodiscard]] virtual pci::result<void> unmap_pirq(domain_id domain, std::uint16_t pirq) = 0;
  /// PHYSDEVOP_prepare_msix. EBUSY: it is already. Memory decode must be on.
  [[nodiscard]] virtual pci::result<void> prepare_msix(const msix_function& function) = 0;
  /// PHYSDEVOP_release_msix. EBUSY: vectors are mapped.
  [[nodiscard]] virtual pci::result<void> release_msix(const msix_function& function) = 0;
  /// PHYSDEVOP_restore_msi_ext: writes Xen's MSI state into the function again after a reset, the enable bit included.
  [[nodiscard]] virtual pci::result<void> restore_msi(const restorable_function& function) = 0;

  /// XEN_DOMCTL_assign_device. EBUSY: MSI-X is masked, or the device has another owner. ENOSYS/EOPNOTSUPP: no IOMMU, or
  /// the domain was built without passthrough. EPERM: strict, and it shares reserved memory (RMRR) with other
  /// functions. To DOMID_IO: quarantine.
  [[nodiscard]] virtual pci::result<void> assign(domain_id domain, const pci::sbdf& address, pci::rdm_policy rdm) = 0;
  /// ENODEV: it is not that domain's. EOPNOTSUPP: the domain was built without passthrough, so it never was.
  [[nodiscard]] virtual pci::result<void> deassign(domain_id domain, const pci::sbdf& address) = 0;
  /// XEN_DOMCTL_test_assign_device: whether a guest has the function in Xen's eyes, which guest Xen does not tell. A
  /// dying domain has nothing any more. True as well for a function that Xen does not know.
  [[nodiscard]] virtual pci::result<bool> has_guest(const pci::sbdf& address) = 0;
  /// How many vectors of MSI and MSI-X Xen gives one guest, for all its functions together.
  [[nodiscard]] virtual unsigned vectors_a_guest() = 0;
  /// The host's processors, on which guests and dom0 run beside each other; 1 where Xen does not tell.
  [[nodiscard]] virtual unsigned processors() = 0;

  /// Access to whole page frames (`first`, `count` in 4 KiB frames), ports, and an interrupt line. 64-bit arithmetic
  /// (XSA-476).
  [[nodiscard]] virtual pci::result<void> permit_memory(domain_id domain, std::uint64_t first, std::uint64_t count,
                                                        bool allow) = 0;
  [[nodiscard]] virtual pci::result<void> permit_ports(domain_id domain, std::uint32_t first, std::uint32_t count,
                                                       bool allow) = 0;
  [[nodiscard]] virtual pci::result<void> permit_irq(domain_id domain, std::uint32_t pirq, bool allow) = 0;
  /// Maps the GSI to the pirq of the same number, which is what a PV guest expects of INTERRUPT_LINE.
  [[nodiscard]] virtual pci::result<void> map_gsi(domain_id domain, std::uint32_t gsi) = 0;

  /// PHYSDEVOP_irq_status_query of dom0's own pirq: two domains at least are bound to the line. EINVAL: no such pirq.
  [[nodiscard]] virtual pci::result<bool> line_shared(std::uint32_t gsi) = 0;

  /// SCHEDOP_remote_shutdown with SHUTDOWN_crash: the domain runs no further instruction, and its toolstack does what
  /// the domain's on_crash says. ESRCH: no such domain.
  [[nodiscard]] virtual pci::result<void> crash(domain_id domain) = 0;
  /// XEN_DOMCTL_pausedomain: the domain runs no further instruction until somebody unpauses it. ESRCH: no such domain.
  [[nodiscard]] virtual pci::result<void> pause(domain_id domain) = 0;
  /// Empty: there is no such domain. When Xen cannot be asked, what it says of one that runs.
  [[nodiscard]] virtual std::optional<domain_info> domain(domain_id domain) = 0;
};

} // namespace platform
