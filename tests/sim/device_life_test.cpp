// SPDX-License-Identifier: GPL-2.0-or-later
// A function whose scrub fails or that is pulled out; and the small parts of the actors.
#include "actors/domain/connection.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

TEST_CASE_FIXTURE(two_cards, "a function that is pulled out while a guest has it") {
  REQUIRE(hold(nic));
  REQUIRE(hold(disk));
  const auto domain = boot("guest", {nic, disk});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  REQUIRE(driver(guest, first_slot).probe(2));
  REQUIRE(host.remove_function(nic));
  REQUIRE(serve(guest, [&] { return !host.xen().facts(nic); }));
  CHECK(guest.read(first_slot, 0, 4).error == -1);
  CHECK(guest.read(second_slot, 0, 4).good());
  CHECK(guest.timeouts() == 0);
  CHECK(error_node(domain).empty()); // its guest had let go of it before
  host.toolstack_destroy(domain);
  run();
  check_forgotten(domain);
  CHECK(function(nic).state == function_state::gone);
  check_clean(disk);
}

TEST_CASE_FIXTURE(two_cards, "a function that is pulled out while nobody has it") {
  REQUIRE(hold(nic));
  REQUIRE(host.remove_function(nic));
  run();
  CHECK(function(nic).state == function_state::gone);
  host.create_domain("guest");
  const auto refused = attach("guest", nic);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EBUSY);
  CHECK(refused.error().context.find("gone") != std::string::npos);
}

TEST_CASE("XSA-332: an event channel's pause doubles up to a second, and work ends it") {
  actors::event_backoff backoff;
  CHECK(backoff.spurious() == 0ms);
  for (const auto expected : {1ms, 2ms, 4ms, 8ms, 16ms, 32ms, 64ms, 128ms, 256ms, 512ms, 1000ms, 1000ms, 1000ms}) {
    CHECK(backoff.spurious() == expected);
  }
  backoff.worked();
  CHECK(backoff.spurious() == 0ms);
  CHECK(backoff.spurious() == 1ms);
}

TEST_CASE("which guest a path below the backends belongs to") {
  using actors::pump;
  CHECK(pump::domain_of("/local/domain/0/backend/pci/7") == 7);
  CHECK(pump::domain_of("/local/domain/0/backend/pci/7/0/state-3") == 7);
  for (const auto* none :
       {"", "/", "/local/domain/0/backend/pci", "/local/domain/0/backend/pci/", "/local/domain/0/backend/pci/x/0",
        "/local/domain/0/backend/pci/7x/0", "/local/domain/0/backend/pci/-7", "/local/domain/0/backend/pci/70000",
        "/local/domain/0/backend/pcix/7", "/local/domain/1/backend/pci/7", "/local/domain/0/backend/pci//7"}) {
    CAPTURE(none);
    CHECK_FALSE(pump::domain_of(none));
  }
}

TEST_CASE_FIXTURE(two_cards, "XSA-349: a hundred thousand changes are one message") {
  run();
  const auto domain = host.create_domain("guest");
  run();
  const auto path = platform::sim::backend_path(domain) + "/state";
  for (int i = 0; i < 100000; ++i) {
    events.store_changed(path, actors::pump::backend_token);
    events.store_changed("@releaseDomain", actors::pump::release_token);
  }
  // For root: a change, and the deaths. What it then starts is bounded too.
  int steps = 0;
  while (step()) {
    ++steps;
  }
  CHECK(steps > 0);
  CHECK(steps < 20);
}

TEST_CASE_FIXTURE(two_cards, "XSA-349: a hundred thousand changes of a guest that is served are one message") {
  REQUIRE(hold(nic));
  const auto domain = boot("guest", {nic});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  run();
  for (int i = 0; i < 100000; ++i) {
    events.store_changed(platform::sim::backend_path(domain) + "/state", actors::pump::backend_token);
  }
  int steps = 0;
  while (step()) {
    ++steps;
  }
  CHECK(steps > 0);
  CHECK(steps < 100);
}

TEST_SUITE_END();
