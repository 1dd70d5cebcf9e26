// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/environment.hpp"

#include <charconv>
#include <cstdint>

#include <fmt/format.h>

#include "platform/linux/sysfs.hpp"

namespace platform::linux_host {
namespace {

std::string content(const sysfs& files, const std::string& file) {
  const auto text = files.read(file);
  return text ? std::string(trim(*text)) : std::string{};
}

/// xenfs says it, and so do the features that Xen has told the kernel of (XENFEAT_dom0, bit 11, of Xen's
/// public/features.h), which are seen too where a service's /proc is one of its own, without xenfs.
bool is_dom0(const sysfs& sys, const sysfs& proc) {
  if (content(proc, "xen/capabilities").find("control_d") != std::string::npos)
    return true;
  const auto text = content(sys, "hypervisor/properties/features");
  std::uint32_t features = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), features, 16);
  return read.ec == std::errc{} && (features >> 11 & 1) != 0;
}

/// The mode that is in brackets: "none [integrity] confidentiality". "none" when nobody says.
std::string lockdown(const sysfs& sys) {
  const auto text = content(sys, "kernel/security/lockdown");
  const auto open = text.find('['), close = text.find(']', open);
  return open == std::string::npos || close == std::string::npos ? "none" : text.substr(open + 1, close - open - 1);
}

} // namespace

std::vector<std::string> obstacles(const environment& where) {
  const sysfs sys{where.sys}, proc{where.proc}, dev{where.dev};
  if (content(sys, "hypervisor/type") != "xen")
    return {"this is not a Xen host: start the machine with Xen, or use the simulated host"};
  if (!is_dom0(sys, proc))
    return {"this is not the control domain: run the daemon in dom0, with xenfs mounted on /proc/xen"};
  std::vector<std::string> found;
  if (const auto type = content(sys, "hypervisor/guest_type"); type == "PVH" || type == "HVM")
    found.push_back(fmt::format("dom0 is {}: Xen refuses it PHYSDEVOP_prepare_msix, release_msix and restore_msi_ext, "
                                "keeps its functions' MSI and MSI-X registers to itself (vPCI), and wants "
                                "PHYSDEVOP_setup_gsi and pci_device_reset, which pcibackd does not use: remove "
                                "dom0=pvh from Xen's command line",
                                type));
  else if (type != "PV")
    found.push_back(fmt::format("dom0 is {}, and has to be PV: see /sys/hypervisor/guest_type, and dom0= of Xen's "
                                "command line",
                                type.empty() ? "of unknown type" : type));
  if (sys.exists("bus/xen-backend/drivers/xen-pciback"))
    found.emplace_back("the kernel's own backend is loaded and would serve the same guests: rmmod xen-pciback, and "
                       "blacklist it in /etc/modprobe.d");
  if (const auto mode = lockdown(sys); mode != "none")
    found.push_back(
        fmt::format("the kernel is locked down ({}), and lets nobody write to the configuration space of PCI "
                    "functions: boot dom0 without lockdown=, and without Secure Boot where that brings it",
                    mode));
  constexpr std::pair<const char*, const char*> nodes[] = {{"xen/evtchn", "xen-evtchn"},
                                                           {"xen/gntdev", "xen-gntdev"},
                                                           {"xen/privcmd", "xen-privcmd"},
                                                           {"xen/hypercall", "xen-privcmd"}};
  for (const auto& [node, module] : nodes)
    if (!dev.exists(node))
      found.push_back(fmt::format("/dev/{} is missing: modprobe {}", node, module));
  return found;
}

} // namespace platform::linux_host
