// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "platform/xen/interface_version.hpp"

using platform::xen::find_interface;
using platform::xen::interface_obstacle;

namespace {

// A hypervisor that takes one version.
struct fake_xen {
  std::uint32_t own = 0;
  int accepted = 0; // what it answers to its own
  int refused = EACCES;
  mutable std::vector<std::uint32_t> asked = {};

  [[nodiscard]] platform::xen::domctl_trial trial() const {
    return [this](std::uint32_t version) {
      asked.push_back(version);
      return version == own ? accepted : refused;
    };
  }
};

} // namespace

TEST_CASE("the version of the library is tried first, and enough when it is Xen's") {
  const fake_xen xen{.own = 0x15};
  CHECK(find_interface(xen.trial(), 0x15) == 0x15U);
  CHECK(xen.asked == std::vector<std::uint32_t>{0x15});
  CHECK_FALSE(interface_obstacle(xen.trial(), 0x15, "4.17"));
}

TEST_CASE("another version of Xen's is found") {
  for (std::uint32_t own = 0x12; own < 0x20; ++own) {
    CAPTURE(own);
    CHECK(find_interface(fake_xen{.own = own}.trial(), 0x15) == own);
  }
  // dom0 may not ask for a domain, under a policy of XSM's: the version is Xen's all the same.
  CHECK(find_interface(fake_xen{.own = 0x17, .accepted = EPERM}.trial(), 0x15) == 0x17U);
}

TEST_CASE("a pair that does not go together is told in one line, with both and what to do") {
  const fake_xen trixie{.own = 0x17};
  CHECK(interface_obstacle(trixie.trial(), 0x15, "4.20") ==
        "libxenctrl is that of Xen 4.17 (control interface 0x15) and the hypervisor is Xen 4.20 (0x17), which do not "
        "match: boot Xen 4.17, or run a pcibackd that was built with the libxen-dev of Xen 4.20");
  CHECK(interface_obstacle(fake_xen{.own = 0x15}.trial(), 0x17, "4.17") ==
        "libxenctrl is that of Xen 4.19 to 4.21 (control interface 0x17) and the hypervisor is Xen 4.17 (0x15), which "
        "do not match: boot Xen 4.19 to 4.21, or run a pcibackd that was built with the libxen-dev of Xen 4.17");
}

TEST_CASE("a hypervisor of a version or a release that is not known is told as far as it is") {
  const auto nameless = interface_obstacle(fake_xen{.own = 0x18}.trial(), 0x15, "");
  REQUIRE(nameless);
  CHECK(nameless->find("the hypervisor is Xen 4.22 (0x18)") != std::string::npos);
  const auto strange = interface_obstacle(fake_xen{.own = 0x1000}.trial(), 0x15, "5.0");
  REQUIRE(strange);
  CHECK(strange->find("the hypervisor is Xen 5.0 (another interface)") != std::string::npos);
  const auto stranger = interface_obstacle(fake_xen{.own = 0x1000}.trial(), 0x19, "");
  REQUIRE(stranger);
  CHECK(stranger->find("libxenctrl is that of a Xen after 4.22 (control interface 0x19)") != std::string::npos);
  CHECK(stranger->find("the hypervisor is another Xen") != std::string::npos);
}

TEST_CASE("a hypervisor that cannot be asked is no obstacle, and is asked once") {
  for (const int error : {ENOSYS, EFAULT, ENOMEM}) {
    CAPTURE(error);
    const fake_xen xen{.own = 0x15, .accepted = error, .refused = error};
    CHECK_FALSE(find_interface(xen.trial(), 0x15));
    CHECK(xen.asked.size() == 1);
    CHECK_FALSE(interface_obstacle(xen.trial(), 0x15, "4.17"));
  }
}
