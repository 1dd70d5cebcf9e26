// SPDX-License-Identifier: GPL-2.0-or-later
// What libxl does for an HVM guest (libxl_pci.c of Xen 4.17), whose device model runs in dom0 or in a stub domain.
#include <cerrno>

#include <fmt/format.h>

#include "platform/sim/host.hpp"

namespace platform::sim {
namespace {

std::string claim_path(const pci::sbdf& address) {
  return fmt::format("/libxl/pci/{}/domid", pci::to_libxl_string(address));
}

} // namespace

pci::result<void> host::toolstack_attach_hvm(domain_id domain, const pci::sbdf& address) {
  if (tools().read(claim_path(address)))
    return pci::fail(EBUSY, fmt::format("pci-attach {}: not assignable", pci::to_string(address)));
  (void)tools().write(claim_path(address), std::to_string(domain));
  (void)pci_.reset(address);
  auto done = give_access(domain, address, true);
  if (done)
    done = xen_.assign(domain, address, pci::rdm_policy::strict);
  if (done)
    done = add_device_nodes(domain, address, false);
  if (!done)
    (void)tools().remove(claim_path(address));
  return done;
}

pci::result<void> host::toolstack_detach_hvm(domain_id domain, const pci::sbdf& address) {
  (void)pci_.reset(address);
  (void)xen_.toolstack_deassign(domain, address);
  const auto index = device_index(domain, address);
  if (!index)
    return pci::fail(ENOENT, fmt::format("pci-detach {}: not attached to domain {}", pci::to_string(address), domain));
  const auto back = backend_path(domain);
  (void)tools().transact(
      [&](store_operations& store) -> result<void> {
        (void)store.write(fmt::format("{}/state-{}", back, *index), "5");
        return store.write(back + "/state", "7");
      },
      16);
  return remove_device_nodes(domain, address);
}

pci::result<void> host::toolstack_attach_stub(domain_id stub, domain_id target, const pci::sbdf& address) {
  if (tools().read(claim_path(address)))
    return pci::fail(EBUSY, fmt::format("pci-attach {}: not assignable", pci::to_string(address)));
  (void)tools().write(claim_path(address), std::to_string(target));
  (void)pci_.reset(address);
  auto done = give_access(stub, address, true);
  return done ? add_device_nodes(stub, address, false) : done;
}

pci::result<void> host::toolstack_attach_target(domain_id target, const pci::sbdf& address) {
  auto done = give_access(target, address, true);
  return done ? xen_.assign(target, address, pci::rdm_policy::strict) : done;
}

} // namespace platform::sim
