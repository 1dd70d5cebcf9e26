// SPDX-License-Identifier: GPL-2.0-or-later
// What a function is like between two guests: as it was when it was held, register by register.
#include "pass.hpp"
#include "two_cards.hpp"

using namespace test;
using messages::function_state;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

const auto port_bridge = pci::make_sbdf(0, 0, 6, 0);
const auto old_card = pci::make_sbdf(0, 0, 5, 0);

actors::settings permissive() {
  actors::settings all;
  all.permissive = true;
  return all;
}

struct written_card : two_cards {
  explicit written_card(actors::settings settings = {}) : two_cards(std::move(settings)) {}
  void check_restored(const pci::sbdf& address, const std::vector<std::byte>& reference) {
    check_clean(address);
    CHECK(function(address).detail.empty());
    const auto now = host.pci().describe(address)->config;
    for (std::size_t at = 0; at < reference.size(); ++at) {
      CAPTURE(at);
      CHECK(now[at] == reference[at]);
    }
  }
  /// A guest that writes everywhere, in each width, and then dies; with `reset` by a method before which nobody saves.
  void spoil(const pci::sbdf& address, unsigned seed) {
    const auto domain = boot("guest", {address});
    frontend guest(host, domain, *this);
    REQUIRE(guest.connect());
    std::uint32_t value = seed;
    for (const unsigned width : {4U, 2U, 1U}) {
      for (unsigned at = 0; at < 4096; at += width) {
        value = value * 1664525U + 1013904223U;
        static_cast<void>(guest.write(first_slot, static_cast<std::int32_t>(at), static_cast<std::int32_t>(width),
                                      value >> (width == 4 ? 0 : 8)));
      }
    }
    host.toolstack_destroy(domain);
  }
};
struct permissively_written_card : written_card {
  permissively_written_card() : written_card(permissive()) {}
};

} // namespace

TEST_CASE_FIXTURE(written_card, "whatever a guest writes, the whole space is as in the reference when it has died") {
  for (const auto& each : {nic, disk}) {
    REQUIRE(hold(each));
    const auto reference = host.pci().describe(each)->config;
    for (const unsigned seed : {1U, 77U}) {
      spoil(each, seed);
      run();
      check_restored(each, reference);
    }
  }
}

TEST_CASE_FIXTURE(permissively_written_card,
                  "whatever a permissive guest writes, the whole space is as in the reference when it has died") {
  for (const auto& each : {nic, disk}) {
    REQUIRE(hold(each));
    const auto reference = host.pci().describe(each)->config;
    for (const unsigned seed : {1U, 77U, 4711U}) {
      spoil(each, seed);
      run();
      check_restored(each, reference);
    }
  }
}

TEST_CASE_FIXTURE(written_card, "what a reset has lost that nobody saved is restored") {
  REQUIRE(hold(nic));
  const auto reference = host.pci().describe(nic)->config;
  const auto domain = boot("guest", {nic});
  host.toolstack_destroy(domain);
  host.pci().reset_bus(nic);
  run();
  check_restored(nic, reference);
}

TEST_CASE_FIXTURE(written_card, "a register that does not come back is named; one that matters makes it not clean") {
  REQUIRE(hold(nic));
  host.xen().stick(nic, 0xe0 + 0x10, 0x0100); // Link Control
  spoil(nic, 3);
  CHECK(wait_until_held(nic));
  CHECK_MESSAGE(function(nic).detail == "Express+10 (Link Control) reads 0100, was 0000", function(nic).detail);
  host.xen().stick(nic, 0x14, 0x0010);
  spoil(nic, 4);
  run();
  pass(*this, std::chrono::seconds(3));
  CHECK(function(nic).state == function_state::failed);
  CHECK_MESSAGE(function(nic).detail.find("BAR1") != std::string::npos, function(nic).detail);
  host.xen().stick(nic, 0, 0);
  CHECK(retry(nic));
  check_clean(nic);
  CHECK(function(nic).detail.empty());
  host.xen().stick(nic, 0xe0 + 0x08, 0x0020); // of Device Control the payload's size, which the fabric's others rely on
  spoil(nic, 5);
  run();
  pass(*this, std::chrono::seconds(3));
  CHECK(function(nic).state == function_state::failed);
  CHECK_MESSAGE(function(nic).detail.find("Device Control") != std::string::npos, function(nic).detail);
}

TEST_CASE_FIXTURE(written_card, "a vendor's own registers are put back after a guest that could write there; after "
                                "another it is told what a reset has made of them") {
  const auto parsed = platform::sim::parse_dump("00:05.0 Display controller\n"
                                                "irq: 17 level\n"
                                                "reset: flr\n"
                                                "resource: 0xfe500000 0xfe50ffff 0x40200\n"
                                                "00: 34 12 78 56 06 00 10 00 00 00 80 03 10 00 00 00\n"
                                                "10: 00 00 50 fe 00 00 00 00 00 00 00 00 00 00 00 00\n"
                                                "30: 00 00 00 00 40 00 00 00 00 00 00 00 0b 01 00 00\n"
                                                "40: 10 00 02 00 e1 8f 00 10 10 28 00 00 12 7c 47 00\n"
                                                "100: 0b 00 01 00 01 00 01 01 01 02 03 04 00 00 00 00\n");
  REQUIRE(parsed);
  host.add_function(*parsed, "graphics");
  const auto card = pci::make_sbdf(0, 0, 5, 0);
  const std::uint16_t own = 0x108;
  REQUIRE(hold(card));
  const std::string told = "Vendor+8 reads 00000000, was 04030201";
  CHECK_MESSAGE(function(card).detail == told, function(card).detail);
  const auto live = [&](const pci::policy_change& rights) {
    REQUIRE(ask_device<void>(card, messages::policy_atom_v, rights));
    const auto domain = boot("guest", {card});
    {
      frontend guest(host, domain, *this);
      REQUIRE(guest.connect());
      CHECK(guest.write(first_slot, own, 4, 0x55555555).good());
    }
    host.toolstack_destroy(domain);
    run();
    check_clean(card);
  };
  live({});
  CHECK(function(card).detail == told);
  pci::policy_change everything, nothing, one_register;
  everything.permissive = true;
  live(everything);
  CHECK(hardware(card, own, 4) == 0x04030201);
  CHECK(function(card).detail.empty());
  nothing.permissive = false;
  live(nothing);
  CHECK(function(card).detail == told);
  one_register.permissive = false;
  one_register.open = pci::quirk{own, 4, 0xffffffff};
  live(one_register);
  CHECK(hardware(card, own, 4) == 0x04030201);
}

TEST_CASE_FIXTURE(two_cards, "a function that has lost its BARs before it is held gets those of the host's resources") {
  const auto resources = host.pci().describe(nic)->resources;
  for (std::uint16_t bar = 0x10; bar < 0x28; bar += 4) {
    host.xen().set_register(nic, bar, 4, bar == 0x18 ? 1 : 0);
  }
  host.xen().set_register(nic, pci::reg::command, 2, 0);
  REQUIRE(hold(nic));
  CHECK(hardware(nic, 0x10, 4) == resources[0].start);
  CHECK(hardware(nic, 0x1c, 4) == resources[3].start);
  CHECK((hardware(nic, pci::reg::command, 2) & 3) == 3);
  CHECK(host.xen().facts(nic)->prepared);
  const auto domain = boot("guest", {nic});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  driver card(guest, first_slot);
  REQUIRE(card.probe(3));
  CHECK(host.xen().raise(nic, 1));
  CHECK(guest.read(first_slot, 0x10, 4).value == resources[0].start);
}

TEST_CASE_FIXTURE(two_cards, "a function that does not answer at once after it was waked is not written all ones") {
  host.pci().take_resets(nic); // any of them would wake it
  REQUIRE(hold(nic));
  const auto pm = capability(nic, pci::reg::cap_pm);
  const auto msi = capability(nic, pci::reg::cap_msi);
  const auto power = [this](unsigned at) { return hardware(nic, static_cast<std::uint16_t>(at + 4), 2); };
  const auto control = [this](unsigned at) { return hardware(nic, static_cast<std::uint16_t>(at + 2), 2); };
  const auto before = std::pair{power(pm), control(msi)};
  for (unsigned silent = 0; silent <= 5; ++silent) {
    CAPTURE(silent);
    host.xen().mute_after_wake(nic, silent);
    const auto domain = boot("guest", {nic});
    {
      frontend guest(host, domain, *this);
      REQUIRE(guest.connect());
      REQUIRE(driver(guest, first_slot).probe(3));
      CHECK(guest.write(first_slot, pm + 4, 2, 3).good());
    }
    host.toolstack_destroy(domain);
    run();
    check_clean(nic);
    CHECK(std::pair{power(pm), control(msi)} == before);
    CHECK(function(nic).detail.find("reads") == std::string::npos);
  }
}

TEST_CASE_FIXTURE(two_cards, "a function that stays silent is not clean, and comes back when it answers") {
  REQUIRE(hold(nic));
  const auto domain = boot("guest", {nic});
  host.xen().mute(nic, 1000000);
  host.toolstack_destroy(domain);
  run();
  pass(*this, std::chrono::seconds(3));
  CHECK(function(nic).state == function_state::failed);
  CHECK(function(nic).detail.find("silent") != std::string::npos);
  host.xen().mute(nic, 0);
  CHECK(retry(nic));
  check_clean(nic);
}

TEST_CASE_FIXTURE(two_cards, "an MSI-X capability that a card grows after it was held is none: Xen would panic") {
  host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000"), old_card), "e1000");
  REQUIRE(hold(old_card));
  const auto domain = boot("guest", {old_card});
  {
    frontend guest(host, domain, *this);
    REQUIRE(guest.connect());
    host.xen().grow_msix(old_card);
    REQUIRE(capability(old_card, pci::reg::cap_msix) != 0);
    CHECK_FALSE(guest.enable_msix(first_slot, {0}).good());
  }
  host.toolstack_destroy(domain);
  run();
  static_cast<void>(wait_until_held(old_card));
  SUBCASE("given back") { CHECK(release(old_card)); }
  SUBCASE("scrubbed by the next daemon") {
    stop_daemon();
    start_root();
    CHECK(ask<void>(root, messages::restore_atom_v));
    CHECK(function(old_card).address == old_card);
    CHECK(release(old_card));
  }
  CHECK(host.xen().facts(old_card)->driver == "e1000");
}

TEST_CASE_FIXTURE(two_cards, "a bridge that is held goes on carrying the DMA of what is below it") {
  host.add_function(platform::sim::place(*platform::sim::builtin_model("bridge"), port_bridge), "pcieport");
  host.xen().set_register(port_bridge, pci::reg::command, 2, 0x0507);
  REQUIRE(hold(port_bridge));
  CHECK(masters(port_bridge));
  const auto domain = boot("guest", {port_bridge});
  {
    frontend guest(host, domain, *this);
    REQUIRE(guest.connect());
  }
  host.toolstack_destroy(domain);
  run();
  CHECK(wait_until_held(port_bridge));
  CHECK(masters(port_bridge));
}

TEST_SUITE_END();
