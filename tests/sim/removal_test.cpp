// SPDX-License-Identifier: GPL-2.0-or-later
// A function that dom0's kernel removes while a guest uses its message interrupts: Xen does not survive it when one of
// these is left, so the removal waits for the guest.
#include "actors/journal/journal.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::guard_state;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct removing : two_cards {
  removing() {
    stop_daemon();
    all->journal = std::make_shared<actors::journal>(std::make_shared<platform::memory_records>());
    start_root();
    REQUIRE(hold(nic));
    REQUIRE(hold(disk));
  }
  void start_guest() {
    domain = boot("guest", {nic, disk});
    guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->connect());
    REQUIRE(driver(*guest, first_slot).probe(3));
    REQUIRE(driver(*guest, second_slot).probe(2));
  }
  void kill() {
    host.end_daemon();
    stop_daemon();
  }
  void start() {
    all->functions = std::make_shared<actors::function_registry>();
    start_root();
    CHECK(ask<void>(root, messages::restore_atom_v));
    run();
  }
  bool there(const pci::sbdf& address) { return host.xen().facts(address).has_value(); }
  bool served_until_gone() {
    return serve(*guest, [&] { return !there(nic); });
  }
  /// The guest lives on with its disk, ends, and the next one gets the card when that is put in again.
  void check_life_goes_on() {
    CHECK_FALSE(there(nic));
    CHECK(function(nic).guard == guard_state::none);
    CHECK(holding_pirqs(domain) == 2);
    CHECK(guest->read(second_slot, 0, 4).good());
    CHECK(host.xen().raise(disk, 0));
    host.toolstack_destroy(domain);
    run();
    check_forgotten(domain);
    check_clean(disk);
    host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), nic), "e1000e");
    run();
    static_cast<void>(release(nic));
    REQUIRE(hold(nic));
    check_clean(nic);
    start_guest();
    CHECK(host.xen().raise(nic, 1));
    CHECK(function(nic).guard == guard_state::armed);
  }
  /// What may not be touched is not, and the administrator is told.
  void check_stranded() {
    const auto seen = function(nic);
    CHECK(seen.state == function_state::gone);
    CHECK(seen.domain == domain);
    CHECK(seen.detail.find("neither unpaused nor destroyed") != std::string::npos);
    CHECK(host.xen().domain(domain)->paused);
    CHECK(holding_pirqs(domain) == 5); // nothing was unmapped
    CHECK_FALSE(release(nic));
    CHECK_FALSE(retry(nic));
    advance(20s);
    CHECK(function(nic).state == function_state::gone);
    CHECK(function(nic).detail == seen.detail);
    CHECK(violations.texts.empty());
  }
  domain_id domain = 0;
  std::unique_ptr<frontend> guest;
};

} // namespace

TEST_CASE_FIXTURE(removing, "a function is guarded for as long as a guest can have a pirq of it") {
  CHECK(function(nic).guard == guard_state::none);
  start_guest();
  CHECK(function(nic).guard == guard_state::armed);
  CHECK(function(disk).guard == guard_state::armed);
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  CHECK(function(nic).guard == guard_state::none);
  CHECK(host.guards().guarded().empty());

  const auto other = host.create_domain("other");
  REQUIRE(ask<void>(device(nic), messages::grant_atom_v, other));
  CHECK(function(nic).guard == guard_state::armed); // before the guest has seen it
  REQUIRE(ask<void>(device(nic), messages::revoke_atom_v, other));
  CHECK(function(nic).guard == guard_state::none);
}

TEST_CASE_FIXTURE(removing, "the removal waits until its guest has let go, who lives on") {
  start_guest();
  REQUIRE(host.remove_function(nic));
  run();
  CHECK(there(nic));
  CHECK(function(nic).guard == guard_state::holding);
  CHECK(holding_pirqs(domain) == 5);
  REQUIRE(served_until_gone());
  CHECK(serve(*guest, [&] { return backend(domain, "num_devs") == "1"; }));
  CHECK(function(nic).state == function_state::gone);
  check_life_goes_on();
}

TEST_CASE_FIXTURE(removing, "the removal of a function whose guest does not answer waits for its patience's end") {
  start_guest();
  guest->withhold(true);
  REQUIRE(host.remove_function(nic));
  run();
  CHECK(there(nic));
  REQUIRE(served_until_gone());
  CHECK(holding_pirqs(domain) == 2);
  guest->withhold(false);
  CHECK(serve(*guest, [&] { return backend(domain, "num_devs") == "1"; }));
  check_life_goes_on();
}

TEST_CASE_FIXTURE(removing, "nothing prepares the function for MSI-X again while its removal waits") {
  start_guest();
  REQUIRE(host.remove_function(nic));
  bool prepared = true;
  REQUIRE(serve(*guest, [&] {
    const auto facts = host.xen().facts(nic);
    prepared = facts ? facts->prepared : prepared;
    return !facts;
  }));
  // The last that was seen of it: the release of its guard comes after release_msix, in one step.
  CHECK(function(nic).state == function_state::gone);
}

TEST_CASE_FIXTURE(removing, "a function that nobody has goes at once") {
  REQUIRE(host.remove_function(nic));
  CHECK_FALSE(there(nic));
  run();
  CHECK(function(nic).state == function_state::gone);
}

TEST_CASE_FIXTURE(removing, "a function that was granted and not yet leased goes without a pirq left") {
  const auto other = host.create_domain("other");
  REQUIRE(ask<void>(device(nic), messages::grant_atom_v, other));
  REQUIRE(host.remove_function(nic));
  CHECK(there(nic));
  run();
  CHECK_FALSE(there(nic));
  CHECK(function(nic).state == function_state::gone);
  CHECK(host.xen().holdings(other) == platform::sim::domain_holdings{});
}

TEST_CASE_FIXTURE(removing, "the removal waits for as long as a pirq cannot be unmapped") {
  start_guest();
  guest->withhold(true);
  host.xen().fail_call("unmap_pirq", EPERM);
  REQUIRE(host.remove_function(nic));
  run();
  advance(40s);
  CHECK(there(nic));
  CHECK(function(nic).guard == guard_state::holding);
  CHECK(function(nic).detail.find("its removal from dom0 waits: 3 of its pirqs") != std::string::npos);
  host.xen().fail_call("unmap_pirq", 0);
  advance(3s);
  CHECK_FALSE(there(nic));
  CHECK(holding_pirqs(domain) == 2);
}

TEST_CASE_FIXTURE(removing, "the guest dies while the removal of its function waits") {
  start_guest();
  guest->withhold(true);
  REQUIRE(host.remove_function(nic));
  run();
  host.toolstack_destroy(domain);
  run();
  advance(20s);
  CHECK_FALSE(there(nic));
  check_forgotten(domain);
}

TEST_CASE_FIXTURE(removing, "without a guard the guest is paused, and what Xen has destroyed is not touched") {
  SUBCASE("the kernel has no means") { host.guards().set_possible(false); }
  SUBCASE("the keeper of the guards has ended") {}
  start_guest();
  host.guards().lose();
  CHECK(function(nic).guard == guard_state::unguarded);
  REQUIRE(host.remove_function(nic));
  run();
  CHECK_FALSE(there(nic));
  check_stranded();
  SUBCASE("the next daemon knows it, too") {
    kill();
    host.xen().pause(domain, false); // or whoever did that
    start();
    check_stranded();
  }
}

TEST_CASE_FIXTURE(removing, "the keeper of the guards ends while a removal waits") {
  start_guest();
  guest->withhold(true);
  REQUIRE(host.remove_function(nic));
  run();
  host.guards().lose();
  run();
  CHECK_FALSE(there(nic));
  check_stranded();
}

TEST_CASE_FIXTURE(removing, "a removal that begins while no daemon runs waits for the next one") {
  start_guest();
  kill();
  REQUIRE(host.remove_function(nic));
  CHECK(there(nic));
  CHECK(holding_pirqs(domain) == 5);
  start();
  CHECK_FALSE(there(nic));
  CHECK(holding_pirqs(domain) == 2);
  CHECK(function(nic).state == function_state::gone);
  CHECK(function(disk).state == function_state::leased);
  host.toolstack_destroy(domain);
  run();
}

TEST_CASE_FIXTURE(removing, "that a function is gone may be told before what let it go is heard of") {
  start_guest();
  kill();
  start();
  REQUIRE(function(nic).state == function_state::inherited);
  const auto actor = device(nic);
  REQUIRE(host.remove_function(nic));
  while (there(nic) && step()) {
  }
  REQUIRE_FALSE(there(nic));
  caf::anon_send<caf::message_priority::high>(actor, messages::removed_atom_v);
  run();
  CHECK(function(nic).state == function_state::gone);
  CHECK_FALSE(host.xen().domain(domain)->paused);
  CHECK(holding_pirqs(domain) == 2);
  host.toolstack_destroy(domain);
  run();
}

TEST_CASE_FIXTURE(removing, "a removal that was let go while no daemon ran leaves a guest that is paused") {
  start_guest();
  kill();
  REQUIRE(host.remove_function(nic));
  SUBCASE("the place is empty") {}
  SUBCASE("another card is in its place") {
    host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), nic), "e1000e");
  }
  host.guards().let_go();
  start();
  check_stranded();
}

TEST_CASE_FIXTURE(removing, "guards that a killed daemon left are released when no guest has the function") {
  start_guest();
  kill();
  host.toolstack_destroy(domain);
  start();
  caf::anon_send(root, messages::ended_atom_v);
  run();
  check_clean(nic);
  CHECK(host.guards().guarded().empty());
  kill();
  REQUIRE(host.guards().arm(nic));
  start();
  CHECK(host.guards().guarded().empty());
}

TEST_CASE_FIXTURE(removing, "a driver that was merely unbound is bound again, and the guest goes on") {
  start_guest();
  host.unbind_driver(nic, false);
  run();
  CHECK(host.xen().facts(nic)->driver.empty());
  advance(2s);
  CHECK(host.xen().facts(nic)->driver == "pci-stub");
  CHECK(function(nic).state == function_state::leased);
  CHECK(holding_pirqs(domain) == 5);
  CHECK(host.xen().raise(nic, 1));
}

TEST_CASE_FIXTURE(removing, "a function that a driver of dom0's has taken is taken from its guest, and says so") {
  start_guest();
  host.unbind_driver(nic, false);
  host.pci().bind_driver(nic, "e1000e", false);
  run();
  advance(2s);
  CHECK(serve(*guest, [&] { return holding_pirqs(domain) == 2; }));
  CHECK(host.xen().facts(nic)->driver == "e1000e");
}

TEST_SUITE_END();
