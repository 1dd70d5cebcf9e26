// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/errata.hpp"

#include <doctest/doctest.h>

using pci::known_errata;
using pci::make_sbdf;
using pci::reset_method;

TEST_CASE("errata: a card that does DMA as another function") {
  const auto sata = known_errata({make_sbdf(0, 3, 0, 0), 0x1b4b, 0x9230, 0x010601}, {});
  REQUIRE(sata.size() == 1);
  CHECK(sata[0].find("boot Xen with pci-phantom=0:3:0,1") != std::string::npos);
  const auto reader = known_errata({make_sbdf(0, 3, 0, 1), 0x1180, 0xe832, 0x0c0010}, {});
  REQUIRE(reader.size() == 1);
  CHECK(reader[0].find("as function 0 of their slot") != std::string::npos);
  CHECK(known_errata({make_sbdf(0, 3, 0, 0), 0x1180, 0xe832, 0x0c0010}, {}).empty());
}

TEST_CASE("errata: a reset that a card does not survive, where the kernel does not know that") {
  const pci::identity wifi{make_sbdf(0, 3, 0, 0), 0x168c, 0x003c, 0x028000};
  CHECK(known_errata(wifi, {{reset_method::pm, {}}}).empty());
  const auto dangerous = known_errata(wifi, {{reset_method::pm, {}}, {reset_method::bus, {}}});
  REQUIRE(dangerous.size() == 1);
  CHECK(dangerous[0].find("a reset by bus, and dom0's kernel, which does not know") != std::string::npos);
  const auto none = known_errata(wifi, {});
  REQUIRE(none.size() == 1);
  CHECK(none[0].find("dom0's kernel has none for it") != std::string::npos);
  const pci::identity audio{make_sbdf(0, 3, 0, 4), 0x1022, 0x1487, 0x040300};
  CHECK(known_errata(audio, {{reset_method::flr, {}}}).size() == 1);
  CHECK(known_errata(audio, {{reset_method::pm, {}}}).empty());
  CHECK(known_errata({make_sbdf(0, 3, 0, 0), 0x8086, 0x10d3, 0x020000}, {}).empty());
}

TEST_CASE("errata: reserved memory and who shares it") {
  const auto usb = make_sbdf(0, 0, 0x14, 0), me = make_sbdf(0, 0, 0x16, 0), net = make_sbdf(0, 0, 0x19, 0);
  const std::vector<pci::reserved_region> all{{0x7a000000, 0x7a7fffff, {usb, me, net}}, {0x1000, 0x1fff, {usb}}};
  CHECK(pci::reserved_memory_of(usb, all) == "7a000000-7a7fffff, with 0000:00:16.0 and 0000:00:19.0; 1000-1fff");
  CHECK(pci::reserved_memory_of(make_sbdf(0, 1, 0, 0), all).empty());
}
