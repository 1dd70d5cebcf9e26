// SPDX-License-Identifier: GPL-2.0-or-later
// Cards whose lists of capabilities promise what they do not have.
#include <algorithm>
#include <cerrno>

#include "platform/sim/guest_memory.hpp"
#include "two_cards.hpp"

using namespace test;
using messages::function_state;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

const auto odd_card = pci::make_sbdf(0, 0, 5, 0);

/// A wireless card: power management at 40, MSI at 50, MSI-X at 90; 64 KiB of memory in BAR 0, ports in BAR 2.
/// `where`: the eight bytes that say where MSI-X has its table and its pending bits.
std::string wireless(const std::string& where) {
  return "02:00.0 Network controller\n"
         "irq: 17 level\n"
         "resource: 0xfe500000 0xfe50ffff 0x40200\n"
         "resource: 0x0 0x0 0x0\n"
         "resource: 0xd000 0xd01f 0x40101\n"
         "00: 34 12 78 56 06 00 10 00 00 00 80 02 10 00 00 00\n"
         "10: 00 00 50 fe 00 00 00 00 01 d0 00 00 00 00 00 00\n"
         "30: 00 00 00 00 40 00 00 00 00 00 00 00 0b 01 00 00\n"
         "40: 01 50 02 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
         "50: 05 90 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
         "90: 11 00 00 00 " +
         where + " 00 00 00 00\n";
}

const char* const overlapping = "00 00 00 00 00 00 00 00";

struct odd_cards : two_cards {
  using two_cards::two_cards;

  void add(const std::string& text) {
    const auto parsed = platform::sim::parse_dump(text);
    REQUIRE(parsed);
    auto model = *parsed;
    model.address = odd_card;
    host.add_function(std::move(model), "wireless");
  }
  bool prepared(const pci::sbdf& address) { return host.xen().facts(address)->prepared; }
};

struct policy_without_msix : odd_cards {
  static actors::settings policy() {
    actors::settings all;
    all.own(nic).policy.msix = false;
    return all;
  }
  policy_without_msix() : odd_cards(policy()) {}
};

} // namespace

TEST_CASE_FIXTURE(odd_cards, "MSI-X that cannot be used is neither prepared nor shown, and the guest's driver works") {
  SUBCASE("table and pending bits overlap") { add(wireless(overlapping)); }
  SUBCASE("table in a BAR of ports") { add(wireless("02 00 00 00 00 08 00 00")); }
  SUBCASE("table in an empty BAR") { add(wireless("03 00 00 00 00 08 00 00")); }
  SUBCASE("table beyond its BAR") { add(wireless("00 00 01 00 00 08 00 00")); }
  SUBCASE("table in BAR 6") { add(wireless("06 00 00 00 00 08 00 00")); }
  SUBCASE("table in BAR 7") { add(wireless("07 00 00 00 00 08 00 00")); }
  SUBCASE("pending bits in an empty BAR") { add(wireless("00 00 00 00 04 08 00 00")); }
  SUBCASE("pending bits beyond their BAR") { add(wireless("00 00 00 00 00 00 02 00")); }
  REQUIRE(hold(odd_card));
  CHECK_FALSE(prepared(odd_card));
  const auto domain = boot("guest", {odd_card});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  const auto* seen = guest.find(first_slot);
  REQUIRE(seen != nullptr);
  CHECK(seen->capabilities ==
        std::map<std::uint8_t, std::uint8_t>{{pci::reg::cap_pm, 0x40}, {pci::reg::cap_msi, 0x50}});
  driver wifi(guest, first_slot);
  REQUIRE(wifi.probe());
  CHECK(wifi.kind() == driver::interrupt_kind::msi);
  for (const std::uint64_t at : {0x0, 0x800, 0xf000})
    CHECK(platform::sim::guest_write(host, domain, 0xfe500000 + at));
  CHECK(host.xen().raise(odd_card));
  CHECK(wifi.interrupts() == 1);
  // It tries all the same.
  wifi.remove();
  auto what = guest.make(pci::op_code::enable_msix, first_slot);
  what.value = 1;
  CHECK_FALSE(guest.perform(what).good());
  CHECK(holding_pirqs(domain) == 0);
  host.toolstack_destroy(domain);
  check_clean(odd_card);
  check_forgotten(domain);
  CHECK(release(odd_card));
}

TEST_CASE_FIXTURE(odd_cards, "a table that is where it should be is prepared, and a guest cannot write there") {
  add(wireless("00 00 00 00 00 08 00 00"));
  REQUIRE(hold(odd_card));
  CHECK(prepared(odd_card));
  const auto domain = boot("guest", {odd_card});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  CHECK(guest.find(first_slot)->capabilities.contains(pci::reg::cap_msix));
  CHECK(platform::sim::guest_write(host, domain, 0xfe500010).error().error == EFAULT);
  CHECK(platform::sim::guest_write(host, domain, 0xfe501000));
  CHECK(platform::sim::guest_write(host, domain, 0xfe510000).error().error == EPERM);
  CHECK(release(odd_card).error().error == EBUSY);
  host.toolstack_destroy(domain);
  check_clean(odd_card);
  REQUIRE(release(odd_card));
  CHECK_FALSE(prepared(odd_card));
}

TEST_CASE_FIXTURE(policy_without_msix, "a function that may not use MSI-X is not prepared for it") {
  REQUIRE(hold(nic));
  CHECK_FALSE(prepared(nic));
  const auto domain = boot("guest", {nic});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  CHECK_FALSE(guest.find(first_slot)->capabilities.contains(pci::reg::cap_msix));
  driver network(guest, first_slot);
  REQUIRE(network.probe());
  CHECK(network.kind() == driver::interrupt_kind::msi);
  const auto table = host.pci().describe(nic)->resources[3].start;
  CHECK(platform::sim::guest_write(host, domain, table));
  host.toolstack_destroy(domain);
  check_clean(nic);
  CHECK_FALSE(prepared(nic));
}

TEST_CASE_FIXTURE(odd_cards, "power management that does not fit into the space is none") {
  add("02:00.0 Network controller\n"
      "irq: 17 level\n"
      "resource: 0xfe500000 0xfe50ffff 0x40200\n"
      "00: 34 12 78 56 06 00 10 00 00 00 80 02 10 00 00 00\n"
      "10: 00 00 50 fe 00 00 00 00 00 00 00 00 00 00 00 00\n"
      "30: 00 00 00 00 fc 00 00 00 00 00 00 00 0b 01 00 00\n"
      "50: 05 fc 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
      "f0: 00 00 00 00 00 00 00 00 00 00 00 00 01 50 02 00\n");
  REQUIRE(hold(odd_card));
  CHECK(function(odd_card).state == function_state::held);
  const auto domain = boot("guest", {odd_card});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  CHECK(guest.find(first_slot)->capabilities == std::map<std::uint8_t, std::uint8_t>{{pci::reg::cap_msi, 0x50}});
  host.toolstack_destroy(domain);
  check_clean(odd_card);
}

TEST_CASE_FIXTURE(odd_cards, "a function that does not answer is told to be silent, and goes back to where it was") {
  std::string text = "02:00.0 Audio device\nids: 1234:5678\n";
  for (unsigned row = 0; row < 0x100; row += 16)
    text += fmt::format("{:02x}: ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff\n", row);
  add(text);
  const auto held = hold(odd_card);
  REQUIRE_FALSE(held);
  CHECK(held.error().error == EPERM);
  CHECK(held.error().context ==
        "0000:00:05.0 must not be held: it is silent (powered off?): all its registers read as ones");
  CHECK(host.pci().driver(odd_card).value() == "wireless");
}

TEST_SUITE_END();
