// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>

#include <fcntl.h>
#include <sys/ioctl.h>

#include <fmt/format.h>

#include "platform/linux/pci_host.hpp"
#include "platform/real/hands.hpp"

extern "C" {
#include <xen/xen.h>

#include <xen/evtchn.h>
#include <xen/grant_table.h>

#include <xen/gntdev.h>
}

namespace platform {
namespace {

pci::result<platform::descriptor> open_node(const char* node) {
  platform::descriptor opened{::open(node, O_RDWR | O_CLOEXEC)};
  if (!opened)
    return pci::fail(errno, fmt::format("open {}", node));
  return opened;
}

/// A port of the descriptor's own, bound to a port of a domain's.
int bind(int channels, domain_id domain, std::uint32_t remote) {
  ioctl_evtchn_bind_interdomain wanted{.remote_domain = domain, .remote_port = remote};
  return ::ioctl(channels, IOCTL_EVTCHN_BIND_INTERDOMAIN, &wanted);
}

} // namespace

// Afterwards the descriptor can bind nothing but this guest's ports, whoever has it.
pci::result<remote::handed> real_handover::channel(domain_id domain, std::uint32_t remote) {
  auto opened = open_node("/dev/xen/evtchn");
  if (!opened)
    return tl::unexpected(std::move(opened.error()));
  ioctl_evtchn_bind_unbound_port own_end{.remote_domain = 0};
  const int own = ::ioctl(opened->get(), IOCTL_EVTCHN_BIND_UNBOUND_PORT, &own_end);
  const int waker = own < 0 ? own : bind(opened->get(), 0, static_cast<std::uint32_t>(own));
  if (waker < 0)
    return pci::fail(errno, "event channels: cannot make a port for waking up");
  const int local = bind(opened->get(), domain, remote);
  if (local < 0)
    return pci::fail(errno, fmt::format("event channels: cannot bind port {} of domain {}", remote, domain));
  ioctl_evtchn_restrict_domid only{.domid = domain};
  if (::ioctl(opened->get(), IOCTL_EVTCHN_RESTRICT_DOMID, &only) != 0)
    return pci::fail(errno, fmt::format("event channels: cannot restrict a descriptor to domain {}", domain));
  return remote::handed{std::move(*opened), {static_cast<std::uint64_t>(local), static_cast<std::uint64_t>(waker)}};
}

// Xen is asked when the page is mapped.
pci::result<remote::handed> real_handover::page(domain_id domain, std::uint32_t reference) {
  auto opened = open_node("/dev/xen/gntdev");
  if (!opened)
    return tl::unexpected(std::move(opened.error()));
  ioctl_gntdev_map_grant_ref wanted{};
  wanted.count = 1;
  wanted.refs[0] = {.domid = domain, .ref = reference};
  if (::ioctl(opened->get(), IOCTL_GNTDEV_MAP_GRANT_REF, &wanted) != 0)
    return pci::fail(errno, fmt::format("grants: cannot map reference {} of domain {}", reference, domain));
  return remote::handed{std::move(*opened), {wanted.index, 0}};
}

pci::result<remote::handed> real_handover::config(const pci::sbdf& address, bool writable) {
  const auto file = files_.path(linux_host::device(address) + "/config");
  platform::descriptor opened{::open(file.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC)};
  if (!opened)
    return pci::fail(errno == ENOENT ? ENODEV : errno, "open " + file.string());
  return remote::handed{std::move(opened), {}};
}

} // namespace platform
