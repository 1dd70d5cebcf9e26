// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include "two_cards.hpp"

using platform::sim::frontend;
using namespace test;

TEST_SUITE_BEGIN("deterministic");

TEST_CASE_FIXTURE(two_cards, "a guest finds its device, gets MSI-X, and is interrupted") {
  REQUIRE(hold(nic));
  const auto domain = host.create_domain("guest");
  REQUIRE(host.toolstack_attach(domain, nic, true));
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  REQUIRE(guest.functions().size() == 1);
  CHECK(guest.functions().front().vendor == 0x8086);
  CHECK(guest.functions().front().device == 0x10d3);

  const auto command = guest.read(first_slot, 4, 2);
  CHECK(guest.write(first_slot, 4, 2, command.value | 0x6).good());
  const auto enabled = guest.enable_msix(first_slot, {0, 1, 2});
  REQUIRE(enabled.good());
  CHECK(enabled.vectors == std::vector<std::uint16_t>{55, 54, 53});
  const auto status = function(nic);
  CHECK(status.state == messages::function_state::leased);
  CHECK(status.mode == pci::interrupt_mode::msix);
  CHECK(status.vectors.size() == 3);
}

TEST_SUITE_END();
