// SPDX-License-Identifier: GPL-2.0-or-later
// What the daemon makes of a xenstored that can limit a watch's depth and names the domain that ended (Xen 4.22), and
// that it misses nothing with one that cannot.
#include "two_cards.hpp"

using namespace test;
using pci::op_code;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct watched_guests : two_cards {
  // The watches of a daemon that starts now.
  void restart_with_depth() {
    stop_daemon();
    host.store_daemon().drop_watches(0);
    host.store_daemon().offer_depth();
    start_root();
  }
  std::unique_ptr<frontend> serve(domain_id domain) {
    auto guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->connect());
    return guest;
  }
  // What the death of a domain that has nothing of ours costs in calls to Xen.
  std::uint64_t cost_of_a_stranger() {
    const auto stranger = host.create_domain("stranger");
    run();
    const auto before = host.xen().hypercalls();
    host.destroy(stranger);
    run();
    return host.xen().hypercalls() - before;
  }
  // Messages that the daemon handles after a guest has put so much below its state.
  int steps_after_writing_below_the_state(frontend& guest) {
    run();
    int steps = 0;
    for (int i = 0; i < 100; ++i) {
      CHECK(guest.write_node(fmt::format("state/{}", i), "x"));
      while (step()) {
        ++steps;
      }
    }
    return steps;
  }
};

} // namespace

TEST_CASE_FIXTURE(watched_guests, "where xenstored names the domain that ended, no other guest is asked for") {
  std::uint64_t cost_unnamed = 0;
  for (const bool named : {false, true}) {
    CAPTURE(named);
    if (named) {
      restart_with_depth();
    }
    for (const auto& each : {nic, disk}) {
      REQUIRE(hold(each));
    }
    const auto first = boot("first", {nic});
    const auto second = boot("second", {disk});
    auto one = serve(first), other = serve(second);
    if (named) {
      // Spared: for each of the two guests, whether it is gone and whether it has shut down.
      CHECK(cost_of_a_stranger() + 4 == cost_unnamed);
    } else {
      cost_unnamed = cost_of_a_stranger();
    }

    host.toolstack_destroy(first);
    run();
    check_clean(nic);
    check_forgotten(first);
    CHECK(other->read(first_slot, 0, 4).good());
    host.toolstack_destroy(second);
    run();
    check_clean(disk);
    check_forgotten(second);
    for (const auto& each : {nic, disk}) {
      REQUIRE(release(each));
    }
  }
}

TEST_CASE_FIXTURE(watched_guests, "two guests that end before the daemon looks are both seen, named or not") {
  restart_with_depth();
  for (const auto& each : {nic, disk}) {
    REQUIRE(hold(each));
  }
  for (const bool also_unnamed : {false, true}) {
    CAPTURE(also_unnamed);
    const auto first = boot("first", {nic});
    const auto second = boot("second", {disk});
    auto one = serve(first), other = serve(second);
    host.destroy(first);
    if (also_unnamed) {
      host.store_daemon().fire_special("@releaseDomain");
    }
    host.destroy(second);
    run();
    CHECK(wait_until_held(nic));
    CHECK(wait_until_held(disk));
    CHECK(holding_pirqs(first) == 0);
    CHECK(holding_pirqs(second) == 0);
  }
}

TEST_CASE_FIXTURE(watched_guests, "a guest that shuts down, or was never served, is seen by its name") {
  restart_with_depth();
  REQUIRE(hold(nic));
  const auto domain = boot("guest", {nic}); // granted, and never connected
  host.destroy(domain);
  run();
  CHECK(wait_until_held(nic));
}

TEST_CASE_FIXTURE(watched_guests, "what a guest puts below its state costs nothing where a watch can leave it out") {
  REQUIRE(hold(nic));
  auto old_guest = serve(boot("old", {nic}));
  CHECK(steps_after_writing_below_the_state(*old_guest) > 0);
  host.toolstack_destroy(old_guest->domain());
  run();
  REQUIRE(wait_until_held(nic));

  restart_with_depth();
  REQUIRE(hold(nic));
  auto guest = serve(boot("new", {nic}));
  CHECK(steps_after_writing_below_the_state(*guest) == 0);
  // Its state itself is heard.
  CHECK(guest->shutdown());
}

TEST_SUITE_END();
