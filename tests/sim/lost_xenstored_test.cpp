// SPDX-License-Identifier: GPL-2.0-or-later
// xenstored goes away and comes back: guests are served meanwhile, and what has changed is noticed afterwards.
#include <optional>

#include "actors/runtime.hpp"
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

namespace {

/// The daemon with its threads, and a guest that has the network card.
struct threads_and_xenstored {
  threads_and_xenstored() {
    host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), nic), "");
    actors::settings settings;
    settings.devices[nic] = {};
    daemon = std::move(*actors::runtime::start(host, settings));
    for (const auto& [address, held] : daemon->hold_configured(false)) {
      REQUIRE(held);
    }
    REQUIRE(daemon->serve());
    domain = host.create_domain("guest");
    REQUIRE(host.toolstack_attach(domain, nic, true));
  }
  ~threads_and_xenstored() { host.store_daemon().hang(false); }
  template <class... Words>
  std::optional<messages::overview> ask(Words... words) {
    std::optional<messages::overview> told;
    caf::scoped_actor self{daemon->system()};
    self->request(daemon->root(), 20s, words...)
        .receive([&](const messages::overview& all) { told = all; }, [](caf::error&) {});
    return told;
  }
  platform::sim::host host{platform::sim::clock::kind::real};
  std::unique_ptr<actors::runtime> daemon;
  messages::domain_id domain = 0;
};

} // namespace

TEST_CASE_FIXTURE(threads_and_xenstored,
                  "a xenstored that does not answer holds up no guest, and list tells what it can") {
  const auto bell = host.bell(domain);
  platform::sim::threaded_waiter waiter(*bell);
  frontend guest(host, domain, waiter);
  REQUIRE(guest.connect());
  host.store_daemon().hang(true);
  host.store_daemon().fire_special("@releaseDomain"); // root asks xenstored, and waits from now on
  CHECK(guest.enable_msix(first_slot, {0, 1}).good());
  for (int i = 0; i < 100; ++i) {
    CHECK(guest.read(first_slot, 0, 4).good());
  }
  CHECK(guest.disable(first_slot).good());
  CHECK(guest.timeouts() == 0);
  const auto told = ask(messages::list_atom_v);
  REQUIRE(told);
  REQUIRE(told->functions.size() == 1);
  CHECK(told->functions.front().state == function_state::leased);
  host.store_daemon().hang(false);
}
