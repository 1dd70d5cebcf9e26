// SPDX-License-Identifier: GPL-2.0-or-later
// What a host's files say, with a daemon or without one.
#include <algorithm>
#include <set>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "config/reader.hpp"
#include "config/settings.hpp"
#include "pci/address.hpp"
#include "pci/dmar.hpp"
#include "platform/linux/environment.hpp"
#include "platform/linux/sysfs.hpp"
#include "platform/xen/hypervisor.hpp"
#include "tools/pcibackctl/doctor.hpp"

namespace client_program {
namespace {

using platform::linux_host::sysfs;

std::string text_of_file(const sysfs& files, const std::string& file) {
  const auto text = files.read(file);
  return text ? std::string{platform::linux_host::trim(*text)} : std::string{};
}

std::string xen_version(const sysfs& sys) {
  return fmt::format("Xen {}.{}{}", text_of_file(sys, "hypervisor/version/major"),
                     text_of_file(sys, "hypervisor/version/minor"), text_of_file(sys, "hypervisor/version/extra"));
}

check check_module(const sysfs& sys, const sysfs& modules, const std::string& driver, const std::string& module) {
  if (sys.exists("bus/pci/drivers/" + driver)) {
    return {module, finding::good, "loaded"};
  }
  for (const auto* list : {"modules.dep", "modules.builtin"}) {
    const auto all = modules.read(list);
    if (all && (all->find("/" + module + ".ko") != std::string::npos)) {
      return {module, finding::good, "there, and loaded when it is needed"};
    }
  }
  return {module, finding::problem, "dom0's kernel does not have it, and nothing can be held: use a kernel with it"};
}

check check_sleep(const sysfs& sys) {
  const auto ways = text_of_file(sys, "power/state");
  return ways.find("mem") == std::string::npos
             ? check{"S3", finding::good, "dom0 does not sleep"}
             : check{"S3", finding::note,
                     "dom0 can sleep, except while a removal guard is armed, as it is while a guest has a function"};
}

check check_guards(const sysfs& dev, const sysfs& proc) {
  return dev.exists("userfaultfd") || proc.exists("sys/vm/unprivileged_userfaultfd")
             ? check{"removals", finding::good, "the kernel can hold a removal up while a guest uses the function"}
             : check{
                   "removals", finding::warning,
                   "the kernel has no userfaultfd: a function that is removed while a guest uses it cannot be held up"};
}

check check_firmware(const sysfs& sys) {
  const auto described = [&](std::string_view table) {
    return sys.exists(fmt::format("firmware/acpi/tables/{}", table));
  };
  if (std::ranges::any_of(pci::dmar_names, described)) {
    return {"IOMMU", finding::good, "the firmware describes one (DMAR)"};
  }
  if (described("IVRS")) {
    return {"IOMMU", finding::good, "the firmware describes one (IVRS)"};
  }
  return {"IOMMU", finding::warning,
          "the firmware describes none: turn on VT-d or AMD-Vi there; without, functions cannot be assigned to guests"};
}

checks check_function(const sysfs& sys, const pci::sbdf& address) {
  const auto name = pci::to_string(address);
  const auto folder = "bus/pci/devices/" + name;
  if (!sys.exists(folder)) {
    return {{name, finding::problem, "the settings name it, and the host has no such function; see lspci -D"}};
  }
  const auto driver = sys.target(folder + "/driver").value_or("none");
  checks found{{name, finding::good, fmt::format("there; its driver in dom0: {}", driver)}};
  if (sys.exists(folder + "/reset_method") ? text_of_file(sys, folder + "/reset_method").empty()
                                           : !sys.exists(folder + "/reset")) {
    found.push_back({name, finding::warning, "it cannot be reset: what a guest leaves inside it, the next one finds"});
  }
  return found;
}

} // namespace

checks look_at_host(const std::filesystem::path& root) {
  const sysfs sys{root / "sys"}, proc{root / "proc"}, dev{root / "dev"};
  checks found;
  for (const auto& obstacle : platform::linux_host::obstacles({root / "sys", root / "proc", root / "dev"})) {
    found.push_back({"host", finding::problem, obstacle});
  }
  const auto release = text_of_file(proc, "sys/kernel/osrelease");
  if (found.empty()) {
    found.push_back({"host", finding::good,
                     fmt::format("{}, a {} dom0, Linux {}", xen_version(sys),
                                 text_of_file(sys, "hypervisor/guest_type"), release)});
  }
  const sysfs modules{root / "lib/modules" / release};
  found.push_back(check_firmware(sys));
  found.push_back(check_module(sys, modules, "pci-stub", "pci-stub"));
  found.push_back(check_module(sys, modules, "uio_pci_generic", "uio_pci_generic"));
  found.push_back(check_guards(dev, proc));
  found.push_back(check_sleep(sys));
  return found;
}

checks look_at_xen() {
  const auto xen = platform::xen::hypervisor::open();
  if (!xen) {
    return {{"Xen", finding::problem, pci::to_string(xen.error())}};
  }
  checks found;
  const auto iommu = (*xen)->has_iommu();
  found.push_back(!iommu   ? check{"IOMMU", finding::warning, pci::to_string(iommu.error())}
                  : *iommu ? check{"IOMMU", finding::good, "Xen drives it"}
                           : check{"IOMMU", finding::problem,
                                   "Xen drives none: functions cannot be assigned to guests. Turn on VT-d or AMD-Vi in "
                                   "the firmware, and see iommu= of Xen's command line"});
  if (const auto most = (*xen)->vectors_a_guest(); most != 0) {
    found.push_back(
        {"vectors", finding::good,
         fmt::format("a guest may have {} of MSI and MSI-X; extra_guest_irqs= of Xen's command line has more", most)});
  }
  return found;
}

checks look_at_settings(const std::filesystem::path& root, const std::filesystem::path& file) {
  const auto text = config::read_file(file);
  if (!text) {
    return {text.error().error == ENOENT
                ? check{"settings", finding::note, fmt::format("{} does not exist; the defaults hold", file.string())}
                : check{"settings", finding::problem, pci::to_string(text.error())}};
  }
  checks found;
  const auto all = config::examine(*text, file.string());
  for (const auto& mistake : all.mistakes) {
    found.push_back({"settings", finding::problem, mistake});
  }
  for (const auto& warning : all.warnings) {
    found.push_back({"settings", finding::warning, warning});
  }
  if (!all.good) {
    return found;
  }
  if (found.empty()) {
    found.push_back({"settings", finding::good, fmt::format("{} has no mistakes", file.string())});
  }
  std::set<pci::sbdf> named;
  for (const auto& device : all.good->devices) {
    if (device.match.is_plain()) {
      named.insert(*device.match.whole_address());
    }
  }
  for (const auto& assignment : all.good->assignments) {
    named.insert(assignment.devices.begin(), assignment.devices.end());
  }
  const sysfs sys{root / "sys"};
  for (const auto& address : named) {
    const auto one = check_function(sys, address);
    found.insert(found.end(), one.begin(), one.end());
  }
  return found;
}

} // namespace client_program
