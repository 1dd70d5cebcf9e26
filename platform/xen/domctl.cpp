// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/xen/domctl.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "platform/xen/interface_version.hpp"
#include "platform/xen/quiet.hpp"

extern "C" {
#include <xenctrl.h>

#include <xen/sched.h>
#include <xen/version.h>

#include <xencall.h>
}

namespace platform::xen {
namespace {

constexpr std::uint64_t frames = std::uint64_t{1} << 40U; ///< 52 bits of physical address
constexpr std::uint64_t ports = 0x10000;

pci::result<void> outcome(int returned, const std::string& what) {
  if (returned != 0)
    return pci::fail(errno, "Xen: cannot " + what);
  return {};
}

std::string_view verb(bool allow) { return allow ? "permit" : "revoke"; }

/// Asks for domain 0 in a version of the interface; the answer is not looked at.
int try_interface(xencall_handle* xen, std::uint32_t version) {
  // A page, so that a version with a longer operation has its room too.
  auto* operation = static_cast<xen_domctl*>(xencall_alloc_buffer_pages(xen, 1));
  if (operation == nullptr)
    return ENOMEM;
  operation->cmd = XEN_DOMCTL_getdomaininfo;
  operation->interface_version = version;
  const int error = xencall1(xen, __HYPERVISOR_domctl, reinterpret_cast<std::uintptr_t>(operation)) == 0 ? 0 : errno;
  xencall_free_buffer_pages(xen, operation, 1);
  return error;
}

std::string release(xencall_handle* xen) {
  const int version = xencall2(xen, __HYPERVISOR_xen_version, XENVER_version, 0);
  return version < 0 ? std::string{} : fmt::format("{}.{}", version >> 16U, version & 0xffffU);
}

bool inside(std::uint64_t first, std::uint64_t count, std::uint64_t limit) {
  return first < limit && count <= limit - first;
}

} // namespace

struct domctl::connection {
  xc_interface* xch;

  explicit connection(xc_interface* opened) : xch(opened) {}
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection() { xc_interface_close(xch); }
};

pci::result<domctl> domctl::open() {
  xc_interface* opened = xc_interface_open(quiet(), quiet(), 0);
  if (opened == nullptr)
    return pci::fail(errno, "Xen: cannot open the control interface");
  return domctl(std::make_shared<connection>(opened));
}

pci::result<void> domctl::assign(domain_id domain, const pci::sbdf& address, pci::rdm_policy rdm) const {
  const std::uint32_t flags = rdm == pci::rdm_policy::relaxed ? XEN_DOMCTL_DEV_RDM_RELAXED : 0;
  return outcome(xc_assign_device(xen_->xch, domain, address.machine(), flags),
                 fmt::format("assign {} to domain {}", pci::to_string(address), domain));
}

pci::result<void> domctl::deassign(domain_id domain, const pci::sbdf& address) const {
  return outcome(xc_deassign_device(xen_->xch, domain, address.machine()),
                 fmt::format("deassign {} from domain {}", pci::to_string(address), domain));
}

// EINVAL: neither dom0 nor the quarantine has it.
pci::result<bool> domctl::has_guest(const pci::sbdf& address) const {
  if (xc_test_assign_device(xen_->xch, DOMID_INVALID, address.machine()) == 0)
    return false;
  if (errno == EINVAL)
    return true;
  return pci::fail(errno, "Xen: cannot say who has " + pci::to_string(address));
}

unsigned domctl::vectors_a_guest() const {
  xen_commandline_t line{};
  return extra_guest_irqs(xc_version(xen_->xch, XENVER_commandline, &line) == 0 ? line : "");
}

pci::result<void> domctl::permit_memory(domain_id domain, std::uint64_t first, std::uint64_t count, bool allow) const {
  const auto what = fmt::format("{} {} frames at {:#x} for domain {}", verb(allow), count, first, domain);
  if (!inside(first, count, frames))
    return pci::fail(EINVAL, "Xen: cannot " + what);
  return outcome(xc_domain_iomem_permission(xen_->xch, domain, first, count, allow ? 1 : 0), what);
}

pci::result<void> domctl::permit_ports(domain_id domain, std::uint32_t first, std::uint32_t count, bool allow) const {
  const auto what = fmt::format("{} {} ports at {:#x} for domain {}", verb(allow), count, first, domain);
  if (!inside(first, count, ports))
    return pci::fail(EINVAL, "Xen: cannot " + what);
  return outcome(xc_domain_ioport_permission(xen_->xch, domain, first, count, allow ? 1 : 0), what);
}

pci::result<void> domctl::permit_irq(domain_id domain, std::uint32_t pirq, bool allow) const {
  return outcome(xc_domain_irq_permission(xen_->xch, domain, pirq, allow),
                 fmt::format("{} pirq {} for domain {}", verb(allow), pirq, domain));
}

// Not xc_domain_destroy: that would end the domain behind the back of its toolstack, which then neither restarts it nor
// keeps it for a look, whatever on_crash says.
pci::result<void> domctl::crash(domain_id domain) const {
  return outcome(xc_domain_shutdown(xen_->xch, domain, SHUTDOWN_crash), fmt::format("stop domain {}", domain));
}

pci::result<void> domctl::pause(domain_id domain) const {
  return outcome(xc_domain_pause(xen_->xch, domain), fmt::format("pause domain {}", domain));
}

std::optional<domain_info> domctl::domain(domain_id domain) const {
  xc_domaininfo_t info{};
  const int found = xc_domain_getinfolist(xen_->xch, domain, 1, &info);
  if (found < 0)
    return domain_info{}; // no memory for the answer, say: a guest is not taken for dead because of that
  // Xen answers with the next domain when there is none of this number.
  if (found != 1 || info.domain != domain)
    return std::nullopt;
  return domain_info{.dying = (info.flags & XEN_DOMINF_dying) != 0,
                     .shutdown = (info.flags & XEN_DOMINF_shutdown) != 0,
                     .paused = (info.flags & XEN_DOMINF_paused) != 0,
                     .hvm = (info.flags & XEN_DOMINF_hvm_guest) != 0};
}

pci::result<bool> domctl::has_iommu() const {
  xc_physinfo_t info{};
  if (xc_physinfo(xen_->xch, &info) != 0)
    return pci::fail(errno, "Xen: cannot ask for its capabilities");
  return (info.capabilities & XEN_SYSCTL_PHYSCAP_directio) != 0;
}

unsigned domctl::processors() const {
  xc_physinfo_t info{};
  return xc_physinfo(xen_->xch, &info) == 0 ? std::max(info.nr_cpus, 1U) : 1;
}

std::optional<std::string> domctl::obstacle() {
  const std::unique_ptr<xencall_handle, decltype(&xencall_close)> xen{xencall_open(quiet(), 0), &xencall_close};
  if (!xen)
    return std::nullopt;
  return interface_obstacle([&](std::uint32_t version) { return try_interface(xen.get(), version); },
                            XEN_DOMCTL_INTERFACE_VERSION, release(xen.get()));
}

} // namespace platform::xen
