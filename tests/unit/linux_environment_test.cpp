// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "platform/linux/environment.hpp"
#include "unit/fake_sysfs.hpp"

namespace {

struct scene {
  test::temporary_directory root;

  scene() {
    root.file("sys/hypervisor/type", "xen\n");
    root.file("sys/hypervisor/guest_type", "PV\n");
    root.file("proc/xen/capabilities", "control_d\n");
    for (const auto* node : {"evtchn", "gntdev", "privcmd", "hypercall"})
      root.file(std::string("dev/xen/") + node);
  }
  [[nodiscard]] std::vector<std::string> obstacles() const {
    return platform::linux_host::obstacles(
        {.sys = root.path() / "sys", .proc = root.path() / "proc", .dev = root.path() / "dev"});
  }
  [[nodiscard]] std::string only() const {
    const auto found = obstacles();
    REQUIRE(found.size() == 1);
    return found.front();
  }
  [[nodiscard]] bool says(const std::string& part) const { return only().find(part) != std::string::npos; }
};

} // namespace

TEST_CASE("a PV dom0 with its nodes has no obstacles") { CHECK(scene{}.obstacles().empty()); }

TEST_CASE("a machine without Xen is told in one line, whatever else is missing") {
  scene at;
  at.root.file("sys/hypervisor/type", "kvm\n");
  CHECK(at.says("not a Xen host"));
  std::filesystem::remove_all(at.root.path() / "sys");
  std::filesystem::remove_all(at.root.path() / "dev");
  CHECK(at.says("not a Xen host"));
}

TEST_CASE("another domain than dom0 is told") {
  scene at;
  at.root.file("proc/xen/capabilities", "\n");
  CHECK(at.says("not the control domain"));
  std::filesystem::remove_all(at.root.path() / "proc");
  CHECK(at.says("xenfs mounted on /proc/xen"));
  for (const auto* features :
       {"000220f0\n", "\n", "odd\n", "100000800\n"}) { // a guest's; and what is no number of 32 bits
    at.root.file("sys/hypervisor/properties/features", features);
    CHECK(at.says("not the control domain"));
  }
}

TEST_CASE("dom0 is known by the features that Xen gives it where xenfs is out of sight") {
  scene at;
  std::filesystem::remove_all(at.root.path() / "proc/xen");
  at.root.file("sys/hypervisor/properties/features", "000228f0\n");
  CHECK(at.obstacles().empty());
}

TEST_CASE("a kernel that is locked down is told") {
  scene at;
  const auto* file = "sys/kernel/security/lockdown";
  for (const auto* text : {"[none] integrity confidentiality\n", "", "odd\n"}) {
    at.root.file(file, text);
    CHECK(at.obstacles().empty());
  }
  at.root.file(file, "none [integrity] confidentiality\n");
  CHECK(at.says("the kernel is locked down (integrity)"));
  at.root.file(file, "none integrity [confidentiality]\n");
  CHECK(at.says("locked down (confidentiality)"));
}

TEST_CASE("a PVH dom0 is refused, with what it lacks and what to do") {
  scene at;
  for (const auto* type : {"PVH", "HVM"}) {
    CAPTURE(type);
    at.root.file("sys/hypervisor/guest_type", std::string(type) + "\n");
    CHECK(at.says(std::string("dom0 is ") + type));
    for (const auto* part : {"PHYSDEVOP_prepare_msix", "release_msix", "restore_msi_ext", "vPCI", "PHYSDEVOP_setup_gsi",
                             "pci_device_reset", "remove dom0=pvh"})
      CHECK(at.says(part));
  }
}

TEST_CASE("a dom0 of a type that is not known is refused") {
  scene at;
  std::filesystem::remove(at.root.path() / "sys/hypervisor/guest_type");
  CHECK(at.says("dom0 is of unknown type, and has to be PV"));
}

TEST_CASE("the kernel's backend is told, with how to be rid of it") {
  scene at;
  at.root.file("sys/bus/xen-backend/drivers/xen-pciback/bind");
  CHECK(at.says("rmmod xen-pciback"));
  CHECK(at.says("blacklist"));
}

TEST_CASE("each missing node is told with its module") {
  scene at;
  std::filesystem::remove(at.root.path() / "dev/xen/gntdev");
  CHECK(at.only() == "/dev/xen/gntdev is missing: modprobe xen-gntdev");
  std::filesystem::remove(at.root.path() / "dev/xen/hypercall");
  CHECK(at.obstacles().size() == 2);
  CHECK(at.obstacles().back() == "/dev/xen/hypercall is missing: modprobe xen-privcmd");
}
