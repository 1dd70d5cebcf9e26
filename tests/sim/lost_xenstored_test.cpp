// SPDX-License-Identifier: GPL-2.0-or-later
// xenstored goes away and comes back: guests are served meanwhile, and what has changed is noticed afterwards.
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct without_xenstored : two_cards {
  without_xenstored() {
    REQUIRE(hold(nic));
    REQUIRE(hold(disk));
    domain = boot("guest", {nic});
    guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->connect());
    REQUIRE(driver(*guest, first_slot).probe(3));
  }
  void check_served() {
    CHECK(guest->read(first_slot, 0, 4).good());
    CHECK(guest->disable(first_slot).good());
    CHECK(guest->enable_msix(first_slot, {0, 1, 2}).good());
    CHECK(guest->timeouts() == 0);
  }
  messages::domain_id domain = 0;
  std::unique_ptr<frontend> guest;
};

} // namespace

TEST_CASE_FIXTURE(without_xenstored, "while xenstored is away guests are served, also when it is away for long") {
  host.lose_xenstored();
  check_served();
  advance(10min);
  check_served();
  CHECK(function(nic).state == function_state::leased);
  host.regain_xenstored();
  run();
  check_served();
  CHECK(guest_status(domain).connected);
  host.toolstack_destroy(domain);
  run();
  check_forgotten(domain);
  check_clean(nic);
}

TEST_CASE_FIXTURE(without_xenstored,
                  "a guest that ended while xenstored was away has its functions cleaned afterwards") {
  host.lose_xenstored();
  guest.reset();
  host.toolstack_destroy(domain);
  run();
  host.regain_xenstored();
  run();
  CHECK(wait_until_held(nic));
  check_forgotten(domain);
  check_clean(nic);
}

TEST_CASE_FIXTURE(without_xenstored, "a guest that came while xenstored was away is connected afterwards") {
  host.lose_xenstored();
  const auto second = host.create_domain("second");
  REQUIRE(host.toolstack_attach(second, disk, true));
  run();
  CHECK(function(disk).state == function_state::held);
  host.regain_xenstored();
  run();
  CHECK(function(disk).state == function_state::leased);
  frontend other(host, second, *this);
  REQUIRE(other.connect());
  REQUIRE(driver(other, first_slot).probe(2));
  check_served();
}

TEST_CASE_FIXTURE(without_xenstored, "a frontend that let go while xenstored was away is answered afterwards") {
  host.lose_xenstored();
  REQUIRE(guest->write_node("state", "5"));
  run();
  host.regain_xenstored();
  run();
  CHECK(backend(domain, "state") == "5");
  REQUIRE(guest->write_node("state", "6"));
  run();
  CHECK(backend(domain, "state") == "6");
  CHECK_FALSE(guest_status(domain).connected);
}

TEST_CASE_FIXTURE(without_xenstored, "what an administrator asks for while xenstored is away fails, and says why") {
  host.lose_xenstored();
  const auto refused = attach("guest", disk);
  REQUIRE(!refused);
  CHECK(refused.error().context.find("the connection is lost") != std::string::npos);
  host.regain_xenstored();
  run();
  CHECK(function(disk).state == function_state::held);
  CHECK(attach("guest", disk));
  check_served();
}

TEST_CASE_FIXTURE(without_xenstored,
                  "xenstored goes at any moment of a guest's start, and comes back: the guest is connected") {
  for (unsigned steps = 0; steps < 40; ++steps) {
    CAPTURE(steps);
    const auto second = host.create_domain("second");
    REQUIRE(host.toolstack_attach(second, disk, true));
    for (unsigned i = 0; i < steps && step(); ++i) {
    }
    host.lose_xenstored();
    run();
    advance(3s);
    host.regain_xenstored();
    run();
    advance(3s);
    {
      frontend other(host, second, *this);
      REQUIRE(other.connect());
      CHECK(other.read(first_slot, 0, 4).good());
    }
    host.toolstack_destroy(second);
    CHECK(wait_until_held(disk));
    check_forgotten(second);
  }
  check_served();
}

TEST_SUITE_END();
