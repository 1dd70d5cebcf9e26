// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/xen/physdev.hpp"

#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>

#include <fmt/format.h>

#include "platform/xen/quiet.hpp"

// Without this the headers describe the interface of Xen 3, and __HYPERVISOR_physdev_op is a call that does nothing.
#define __XEN_TOOLS__ 1 // NOLINT(bugprone-reserved-identifier): Xen's own name for it
extern "C" {
#include <xen/xen.h>

#include <xen/physdev.h>

#include <xencall.h>
}

namespace platform::xen {
namespace {

static_assert(__HYPERVISOR_physdev_op == 33);
static_assert(sizeof(physdev_map_pirq) == 40 && offsetof(physdev_map_pirq, table_base) == 32);

/// Copies the argument through a buffer that Xen can reach.
int issue(xencall_handle* xen, unsigned operation, void* argument, std::size_t size) {
  void* buffer = xencall_alloc_buffer(xen, size);
  if (buffer == nullptr)
    return ENOMEM;
  std::memcpy(buffer, argument, size);
  const int error =
      xencall2(xen, __HYPERVISOR_physdev_op, operation, reinterpret_cast<std::uintptr_t>(buffer)) == 0 ? 0 : errno;
  std::memcpy(argument, buffer, size);
  xencall_free_buffer(xen, buffer);
  return error;
}

pci::result<void> outcome(int error, std::string what) {
  if (error != 0)
    return pci::fail(error, std::move(what));
  return {};
}

physdev_pci_device to_xen(const pci::sbdf& address) {
  return {.seg = address.segment, .bus = address.bus, .devfn = address.devfn};
}

physdev_map_pirq message_request(domain_id domain, const pci::sbdf& address) {
  return {.domid = domain,
          .type = MAP_PIRQ_TYPE_MSI_SEG,
          .index = -1,
          .pirq = -1,
          .bus = address.bus | address.segment << 16,
          .devfn = address.devfn,
          .entry_nr = 0,
          .table_base = 0};
}

/// Maps one vector of a guest's function. A Xen that does not know segments knows segment 0 by the older type.
pci::result<std::uint16_t> map_message(const physdev::hypercall& call, physdev_map_pirq request,
                                       const std::string& what) {
  int error = call(PHYSDEVOP_map_pirq, &request, sizeof request);
  if (error == EINVAL && request.bus >> 16 == 0) {
    request.type = MAP_PIRQ_TYPE_MSI;
    error = call(PHYSDEVOP_map_pirq, &request, sizeof request);
  }
  if (error == EBUSY) // source: allocate_pirq in Xen's arch/x86/irq.c
    return pci::fail(error, fmt::format("Xen: cannot map {} while the guest still has an event channel open for an "
                                        "interrupt that was taken from it",
                                        what));
  if (error != 0)
    return pci::fail(error, "Xen: cannot map " + what);
  if (request.pirq < 0 || request.pirq > std::numeric_limits<std::uint16_t>::max())
    return pci::fail(ERANGE, fmt::format("Xen: pirq {} for {}", request.pirq, what));
  return static_cast<std::uint16_t>(request.pirq);
}

} // namespace

pci::result<physdev> physdev::open() {
  xencall_handle* opened = xencall_open(quiet(), 0);
  if (opened == nullptr)
    return pci::fail(errno, "Xen: cannot open /dev/xen/privcmd and /dev/xen/hypercall");
  std::shared_ptr<xencall_handle> xen{opened, &xencall_close};
  return physdev([xen](unsigned operation, void* argument, std::size_t size) {
    return issue(xen.get(), operation, argument, size);
  });
}

pci::result<std::uint16_t> physdev::map_msi(domain_id domain, const pci::sbdf& address) const {
  return map_message(call_, message_request(domain, address),
                     fmt::format("MSI of {} for domain {}", pci::to_string(address), domain));
}

pci::result<std::uint16_t> physdev::map_msix(domain_id domain, const pci::sbdf& address, std::uint16_t entry,
                                             std::uint64_t table_base) const {
  const auto what = fmt::format("MSI-X entry {} of {} for domain {}", entry, pci::to_string(address), domain);
  if (table_base == 0)
    return pci::fail(EINVAL, "Xen: would take it for MSI, because its table has no address: " + what);
  auto request = message_request(domain, address);
  request.entry_nr = entry;
  request.table_base = table_base;
  return map_message(call_, request, what);
}

pci::result<void> physdev::map_gsi(domain_id domain, std::uint32_t gsi) const {
  const auto what = fmt::format("GSI {} for domain {}", gsi, domain);
  if (gsi > std::numeric_limits<std::uint16_t>::max())
    return pci::fail(EINVAL, "Xen: cannot map " + what);
  const int number = static_cast<int>(gsi);
  physdev_map_pirq request{.domid = domain,
                           .type = MAP_PIRQ_TYPE_GSI,
                           .index = number,
                           .pirq = number,
                           .bus = 0,
                           .devfn = 0,
                           .entry_nr = 0,
                           .table_base = 0};
  return outcome(call_(PHYSDEVOP_map_pirq, &request, sizeof request), "Xen: cannot map " + what);
}

pci::result<void> physdev::unmap_pirq(domain_id domain, std::uint16_t pirq) const {
  physdev_unmap_pirq request{.domid = domain, .pirq = pirq};
  return outcome(call_(PHYSDEVOP_unmap_pirq, &request, sizeof request),
                 fmt::format("Xen: cannot unmap pirq {} of domain {}", pirq, domain));
}

pci::result<void> physdev::prepare_msix(const msix_function& function) const {
  auto request = to_xen(function.address());
  return outcome(call_(PHYSDEVOP_prepare_msix, &request, sizeof request),
                 "Xen: cannot prepare MSI-X of " + pci::to_string(function.address()));
}

pci::result<void> physdev::release_msix(const msix_function& function) const {
  auto request = to_xen(function.address());
  return outcome(call_(PHYSDEVOP_release_msix, &request, sizeof request),
                 "Xen: cannot release MSI-X of " + pci::to_string(function.address()));
}

pci::result<void> physdev::restore_msi(const restorable_function& function) const {
  auto request = to_xen(function.address());
  return outcome(call_(PHYSDEVOP_restore_msi_ext, &request, sizeof request),
                 "Xen: cannot restore the message interrupts of " + pci::to_string(function.address()));
}

pci::result<bool> physdev::line_shared(std::uint32_t gsi) const {
  physdev_irq_status_query request{.irq = gsi, .flags = 0};
  const int error = call_(PHYSDEVOP_irq_status_query, &request, sizeof request);
  if (error != 0)
    return pci::fail(error, fmt::format("Xen: cannot ask for the state of line {}", gsi));
  return (request.flags & XENIRQSTAT_shared) != 0;
}

} // namespace platform::xen
