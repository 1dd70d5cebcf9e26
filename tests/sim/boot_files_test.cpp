// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/boot_files.hpp"

#include <doctest/doctest.h>

#include "config/settings.hpp"

namespace {

config::settings settings_of(std::string_view text) {
  auto parsed = config::parse(text, "f.toml");
  REQUIRE(parsed.has_value());
  return std::move(*parsed);
}

/// The rules without their heading and their end.
std::string rules_of(std::string_view text, const std::map<pci::sbdf, std::string>& spared = {}) {
  const auto rules = daemon_program::udev_rules(settings_of(text), spared);
  const std::string before = "SUBSYSTEM!=\"pci\", GOTO=\"pcibackd_end\"\n", after = "LABEL=\"pcibackd_end\"\n";
  const auto begin = rules.find(before);
  REQUIRE(rules.find("ACTION!=\"add\", GOTO=\"pcibackd_end\"\n") < begin);
  REQUIRE(rules.ends_with(after));
  return rules.substr(begin + before.size(), rules.size() - after.size() - begin - before.size());
}

} // namespace

TEST_CASE("udev rules: each way of naming functions, the most exact first, and no bridge by chance") {
  CHECK(rules_of(R"toml(hide = "(0001:07:00.*)(08:*.*)(03:00.0)"
[[device]]
class = "02"
[[device]]
class = "0c03*0"
ids = "8086:*"
[[device]]
address = "0000:03:00.0"
hold = false
[[device]]
ids = "8086:10d3"
)toml") == R"(KERNEL=="0000:03:00.0", GOTO="pcibackd_end"
KERNEL=="0000:03:00.0", ATTR{driver_override}="pci-stub", GOTO="pcibackd_end"
KERNEL=="0001:07:00.*", ATTR{class}!="0x06*", ATTR{driver_override}="pci-stub", GOTO="pcibackd_end"
KERNEL=="0000:08:*", ATTR{class}!="0x06*", ATTR{driver_override}="pci-stub", GOTO="pcibackd_end"
ATTR{vendor}=="0x8086", ATTR{device}=="0x10d3", ATTR{class}!="0x06*", ATTR{driver_override}="pci-stub", GOTO="pcibackd_end"
ATTR{vendor}=="0x8086", ATTR{class}=="0x0c03?0", ATTR{class}!="0x06*", ATTR{driver_override}="pci-stub", GOTO="pcibackd_end"
ATTR{class}=="0x02????", ATTR{class}!="0x06*", ATTR{driver_override}="pci-stub", GOTO="pcibackd_end"
KERNELS=="0000:03:00.0", ATTR{driver_override}="pci-stub", GOTO="pcibackd_end"
)");
}

TEST_CASE("udev rules: a pinned address hides the pinned card alone") {
  CHECK(rules_of(R"([[device]]
address = "03:00.0"
pin = { ids = "8086:10d3", subsystem = "8086:a01f", serial = "52-54-00-ff-ff-12-34-56" }
)") == R"(# udev cannot see serial numbers: the daemon looks at this one's.
KERNEL=="0000:03:00.0", ATTR{vendor}=="0x8086", ATTR{device}=="0x10d3", ATTR{subsystem_vendor}=="0x8086", ATTR{subsystem_device}=="0xa01f", ATTR{driver_override}="pci-stub", GOTO="pcibackd_end"
KERNEL=="0000:03:00.0", GOTO="pcibackd_end"
)");
}

TEST_CASE("udev rules: what dom0 runs from is spared before anything matches") {
  CHECK(rules_of("[[device]]\nclass = \"01\"\n", {{pci::make_sbdf(0, 0, 4, 0), "carries / (nvme0n1p2)"}}) ==
        R"(# 0000:00:04.0 carries / (nvme0n1p2)
KERNEL=="0000:00:04.0", GOTO="pcibackd_end"
ATTR{class}=="0x01????", ATTR{class}!="0x06*", ATTR{driver_override}="pci-stub", GOTO="pcibackd_end"
)");
}
