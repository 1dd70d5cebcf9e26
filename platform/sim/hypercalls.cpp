// SPDX-License-Identifier: GPL-2.0-or-later
// What Xen does for whom, and what it refuses: assignments, rights, and the end of a domain.
#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "platform/sim/hypervisor.hpp"
#include "platform/sim/violation.hpp"

namespace platform::sim {

namespace reg = pci::reg;

namespace {

pci::result<void> no_domain(const char* call, domain_id domain) {
  return pci::fail(ESRCH, fmt::format("{}: domain {}", call, domain));
}

/// It could be quiet, and is not. A bridge's mastering carries the DMA of what is below it.
bool masters(const device& hardware) {
  return (hardware.read(reg::header_type, 1) & reg::header_layout) == 0 &&
         (hardware.command() & ~hardware.stuck(reg::command) & reg::command_master) != 0;
}

/// Xen would do it, and dom0's own memory, ports and lines would be the daemon's to take away.
pci::result<void> dom0s_own(const char* call) {
  violation(fmt::format("{} for domain 0: dom0's own", call));
  return pci::fail(EFAULT, call);
}

} // namespace

/// Xen's device_assigned and pci_reset_msix_state: who has it already, and whether it looks as after a reset.
pci::result<void> hypervisor::check_assign(domain_id domain, const function_state& function, pci::rdm_policy rdm) {
  const auto where =
      fmt::format("assign_device {} to domain {}", pci::to_string(function.hardware.model().address), domain);
  if (domain == 0)
    return pci::fail(EINVAL, where);
  if (domain != domid_io) {
    const auto* to = find(domain);
    if (to == nullptr)
      return pci::fail(ESRCH, where);
    if (to->dying)
      return pci::fail(EINVAL, where);
    if (!to->options.passthrough || to->options.kind == domain_kind::pvh)
      return pci::fail(EOPNOTSUPP, where + ": no IOMMU context");
  }
  if (function.owner != 0 && function.owner != domid_io)
    return pci::fail(EBUSY, fmt::format("{}: domain {} has it", where, function.owner));
  if ((function.hardware.msix_control() & reg::msix_mask_all) != 0)
    return pci::fail(EBUSY, where + ": MSI-X is masked");
  const auto dead = [&](const vector_mapping& vector) {
    const auto* holder = find(vector.domain);
    return holder != nullptr && holder->dying;
  };
  if (domain != domid_io && std::any_of(function.vectors.begin(), function.vectors.end(), dead))
    return pci::fail(EBUSY, where + ": a dead domain has pirqs of it");
  if (function.shares_reserved_memory && rdm == pci::rdm_policy::strict)
    return pci::fail(EPERM, where + ": it shares reserved memory");
  return {};
}

pci::result<void> hypervisor::assign(domain_id domain, const pci::sbdf& address, pci::rdm_policy rdm) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("assign_device", &address); !entered)
    return entered;
  auto& function = *find(address);
  if (auto allowed = check_assign(domain, function, rdm); !allowed)
    return allowed;
  function.host_maskall = false;
  function.owner = domain;
  return {};
}

pci::result<void> hypervisor::deassign(domain_id domain, const pci::sbdf& address) {
  std::lock_guard hold(mutex_);
  auto taken = take(domain, address);
  // The guest's tables go while the function may still use them (XSA-400), and it could have been made quiet.
  const bool obeys = failing_write_.error == 0 || failing_write_.address != address;
  if (taken && domain != domid_io && obeys && masters(find(address)->hardware))
    violation(fmt::format("deassign_device {} from domain {}: it masters the bus", pci::to_string(address), domain));
  return taken;
}

pci::result<void> hypervisor::toolstack_deassign(domain_id domain, const pci::sbdf& address) {
  std::lock_guard hold(mutex_);
  return take(domain, address);
}

pci::result<void> hypervisor::take(domain_id domain, const pci::sbdf& address) {
  if (auto entered = enter("deassign_device", &address); !entered)
    return entered;
  auto& function = *find(address);
  if (domain == 0)
    return pci::fail(EINVAL, fmt::format("deassign_device {} from domain 0", pci::to_string(address)));
  if (domain != domid_io && find(domain) == nullptr)
    return no_domain("deassign_device", domain);
  if (domain != domid_io && !find(domain)->options.passthrough) // comes first in Xen, too
    return pci::fail(EOPNOTSUPP, fmt::format("deassign_device from domain {}: no IOMMU context", domain));
  if (function.owner != domain)
    return pci::fail(ENODEV, fmt::format("deassign_device {}: domain {} has it, not {}", pci::to_string(address),
                                         function.owner, domain));
  // What a guest has programmed the function to do to its memory would be done to dom0's (XSA-302).
  if (domain == domid_io && masters(function.hardware))
    violation(
        fmt::format("deassign_device {}: it masters the bus, dom0's memory is its own now", pci::to_string(address)));
  // iommu=quarantine is Xen's default: from a guest it goes to DOM_IO first.
  function.owner = domain == domid_io ? domain_id{0} : domid_io;
  return {};
}

pci::result<bool> hypervisor::has_guest(const pci::sbdf& address) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("test_assign_device"); !entered)
    return tl::unexpected(entered.error());
  const auto* function = find(address);
  return function == nullptr || (function->owner != 0 && function->owner != domid_io);
}

pci::result<void> hypervisor::permit_memory(domain_id domain, std::uint64_t first, std::uint64_t count, bool allow) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("iomem_permission"); !entered)
    return entered;
  auto* to = find(domain);
  if (domain == 0)
    return dom0s_own("iomem_permission");
  if (to == nullptr)
    return no_domain("iomem_permission", domain);
  if (count == 0 || first + count - 1 < first || first + count - 1 > (std::uint64_t{1} << 40))
    return pci::fail(EINVAL, fmt::format("iomem_permission: frames {:x}+{:x}", first, count));
  allow ? to->memory.add(first, count) : to->memory.remove(first, count);
  return {};
}

pci::result<void> hypervisor::permit_ports(domain_id domain, std::uint32_t first, std::uint32_t count, bool allow) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("ioport_permission"); !entered)
    return entered;
  auto* to = find(domain);
  if (domain == 0)
    return dom0s_own("ioport_permission");
  if (to == nullptr)
    return no_domain("ioport_permission", domain);
  if (count == 0 || std::uint64_t{first} + count > 0x10000)
    return pci::fail(EINVAL, fmt::format("ioport_permission: ports {:x}+{:x}", first, count));
  allow ? to->ports.add(first, count) : to->ports.remove(first, count);
  return {};
}

pci::result<void> hypervisor::permit_irq(domain_id domain, std::uint32_t pirq, bool allow) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("irq_permission"); !entered)
    return entered;
  auto* to = find(domain);
  if (domain == 0)
    return dom0s_own("irq_permission");
  if (to == nullptr)
    return no_domain("irq_permission", domain);
  if (pirq == 0 || pirq >= gsis)
    return pci::fail(EINVAL, fmt::format("irq_permission: pirq {}", pirq));
  allow ? (void)to->irqs.insert(pirq) : (void)to->irqs.erase(pirq);
  return {};
}

pci::result<void> hypervisor::map_gsi(domain_id domain, std::uint32_t gsi) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("map_pirq"); !entered)
    return entered;
  auto* to = find(domain);
  if (domain == 0)
    return dom0s_own("map_pirq");
  if (to == nullptr)
    return no_domain("map_pirq", domain);
  if (gsi == 0 || gsi >= gsis)
    return pci::fail(EINVAL, fmt::format("map_pirq: GSI {}", gsi));
  auto& mapped = to->pirqs[static_cast<std::uint16_t>(gsi)];
  mapped.is_line = true;
  return {};
}

pci::result<void> hypervisor::pause(domain_id domain) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("pausedomain"); !entered)
    return entered;
  auto* found = find(domain);
  if (found == nullptr)
    return no_domain("pausedomain", domain);
  found->paused = true;
  return {};
}

pci::result<void> hypervisor::crash(domain_id domain) {
  {
    std::lock_guard hold(mutex_);
    if (auto entered = enter("remote_shutdown"); !entered)
      return entered;
    auto* found = find(domain);
    if (found == nullptr)
      return no_domain("remote_shutdown", domain);
    found->shutdown = true;
  }
  if (when_crashed_)
    when_crashed_(domain);
  return {};
}

} // namespace platform::sim
