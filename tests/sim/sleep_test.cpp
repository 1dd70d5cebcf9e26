// SPDX-License-Identifier: GPL-2.0-or-later
// dom0 sleeps: the functions lose their registers and their interrupts, of which its kernel does not know.
#include "restarted.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct sleeping : restarted {
  sleeping() { REQUIRE(hold(disk)); }
  void check_works() {
    CHECK(function(nic).state == function_state::leased);
    CHECK(masters(nic));
    CHECK(guest->read(first_slot, 0x10, 4).value == bar);
    CHECK(hardware(nic, 0x10, 4) == bar);
    CHECK(guest->read(first_slot, 4, 2).value == command);
  }
  void note_what_is() {
    bar = guest->read(first_slot, 0x10, 4).value;
    command = guest->read(first_slot, 4, 2).value;
  }
  void check_end() {
    host.toolstack_destroy(domain);
    guest.reset();
    run();
    check_clean(nic);
    check_clean(disk);
    check_forgotten(domain);
    // What was known of it from when it was held is as it was.
    CHECK(record().function.config == reference);
  }
  std::uint32_t bar = 0, command = 0;
  decltype(pci::function::config) reference = record().function.config;
};

} // namespace

TEST_CASE_FIXTURE(sleeping, "a guest's function has its configuration and its vectors again after a sleep") {
  for (const bool restored : {true, false}) {
    for (const bool msi : {true, false}) {
      CAPTURE(restored);
      CAPTURE(msi);
      start_guest();
      if (msi) {
        REQUIRE(guest->disable(first_slot).good());
        REQUIRE(guest->enable_msi(first_slot).good());
      }
      note_what_is();
      for (int i = 0; i < 2; ++i) {
        host.sleep(restored);
        CHECK_FALSE(msix_on(nic));
        run();
        check_works();
        CHECK(msi_on(nic) == msi);
        CHECK(msix_on(nic) != msi);
        CHECK(host.xen().raise(nic, msi ? 0 : 2));
      }
      check_end();
    }
  }
}

TEST_CASE_FIXTURE(sleeping, "a guest that has no interrupts on finds its function as it was, and can have them") {
  domain = boot("guest", {nic});
  guest = std::make_unique<frontend>(host, domain, *this);
  REQUIRE(guest->connect());
  host.sleep(false);
  run();
  REQUIRE(driver(*guest, first_slot).probe(3));
  CHECK(host.xen().raise(nic, 2));
  check_end();
}

TEST_CASE_FIXTURE(sleeping, "functions that nobody has are clean after a sleep, and are handed out") {
  host.sleep(false);
  run();
  check_clean(nic);
  check_clean(disk);
  start_guest();
  CHECK(host.xen().raise(nic, 1));
  check_end();
}

TEST_CASE_FIXTURE(sleeping, "a function that was granted, and not yet leased, is whole after a sleep") {
  domain = host.create_domain("guest");
  REQUIRE(ask<void>(device(nic), messages::grant_atom_v, domain));
  host.sleep(false);
  run();
  CHECK(function(nic).state == function_state::granted);
  REQUIRE(attach("guest", disk));
  REQUIRE(ask<void>(device(nic), messages::revoke_atom_v, domain));
  check_end();
}

TEST_CASE_FIXTURE(sleeping, "a sleep during a scrub, and one with a daemon that was killed") {
  start_guest();
  SUBCASE("a scrub") {
    host.toolstack_destroy(domain);
    for (int i = 0; i < 6; ++i) {
      step();
    }
    host.sleep(false);
    run();
    check_clean(nic);
    start_guest();
  }
  SUBCASE("a daemon that was killed") {
    note_what_is();
    advance(1s); // it is noted
    replace();
    host.sleep(false);
    run();
    check_works();
    CHECK(host.xen().raise(nic, 2));
  }
  check_end();
}
