// SPDX-License-Identifier: GPL-2.0-or-later
// However a guest ends, its functions come back quiet and clean, and the next guest can have them.
#include "two_cards.hpp"

using namespace test;
using pci::op_code;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct dying_guest : two_cards {
  dying_guest() {
    REQUIRE(hold(nic));
    domain = boot("guest", {nic});
    guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->connect());
    driver card(*guest, first_slot);
    REQUIRE(card.probe(3));
    REQUIRE(holding_pirqs(domain) == 3);
    REQUIRE(masters(nic));
  }
  void next_guest_works() {
    const auto next = boot("next", {nic});
    frontend second(host, next, *this);
    REQUIRE(second.connect());
    driver card(second, first_slot);
    REQUIRE(card.probe(3));
    CHECK(card.kind() == driver::interrupt_kind::msix);
    CHECK(host.xen().raise(nic, 2));
    CHECK(card.interrupts() == 1);
    host.toolstack_destroy(next);
    run();
    check_clean(nic);
    check_forgotten(next);
  }
  domain_id domain = 0;
  std::unique_ptr<frontend> guest;
};

} // namespace

TEST_CASE_FIXTURE(dying_guest, "a guest is destroyed with MSI-X on") {
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  check_forgotten(domain);
  CHECK(host.xen().lost() == 0);
  next_guest_works();
}

TEST_CASE_FIXTURE(dying_guest, "a guest is destroyed with MSI on") {
  REQUIRE(guest->disable(first_slot).good());
  REQUIRE(guest->enable_msi(first_slot).good());
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  check_forgotten(domain);
  next_guest_works();
}

TEST_CASE_FIXTURE(dying_guest, "a guest is destroyed while an operation is in flight") {
  for (int steps = 0; steps < 8; ++steps) {
    CAPTURE(steps);
    const auto victim = steps == 0 ? domain : boot("victim", {nic});
    auto front = steps == 0 ? std::move(guest) : std::make_unique<frontend>(host, victim, *this);
    if (steps != 0) {
      REQUIRE(front->connect());
      REQUIRE(driver(*front, first_slot).probe(3));
    }
    front->post(front->make(op_code::conf_read, first_slot));
    front->kick();
    for (int i = 0; i < steps; ++i) {
      step();
    }
    host.toolstack_destroy(victim);
    run();
    check_clean(nic);
    check_forgotten(victim);
  }
}

TEST_CASE_FIXTURE(dying_guest, "a guest is destroyed with its reset and scrub under way for its last function") {
  host.toolstack_destroy(domain);
  for (int i = 0; i < 6; ++i) {
    step();
  }
  host.store_daemon().fire_special("@releaseDomain"); // another domain's end, meanwhile
  run();
  check_clean(nic);
  check_forgotten(domain);
}

TEST_CASE_FIXTURE(dying_guest, "a guest deletes its own nodes, and is destroyed later") {
  CHECK(host.store_daemon().for_domain(domain).remove(platform::sim::frontend_path(domain)));
  run();
  CHECK(wait_until_held(nic));
  CHECK(backend(domain, "state") == "6");
  CHECK_FALSE(msix_on(nic));
  CHECK(host.grant_table().mapped(domain) == 0);
  CHECK(holding_pirqs(domain) == 0);
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  check_forgotten(domain);
}

TEST_CASE_FIXTURE(dying_guest, "the toolstack's directories go before the daemon hears of the death") {
  // xenstored tells of removed nodes and of dead domains by different watches.
  CHECK(host.xenstore().remove(fmt::format("/local/domain/{}", domain)));
  host.destroy(domain);
  run();
  check_clean(nic);
  check_forgotten(domain);
}

TEST_CASE_FIXTURE(two_cards, "a domain dies when a function is granted, but nobody has leased it") {
  REQUIRE(hold(nic));
  const auto domain = host.create_domain("short");
  const auto device = ask<messages::device_actor>(root, messages::find_atom_v, nic);
  REQUIRE(device);
  REQUIRE(ask<void>(*device, messages::grant_atom_v, domain));
  CHECK(function(nic).state == messages::function_state::granted);
  CHECK(host.xen().facts(nic)->owner == domain);
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  check_forgotten(domain);
}

TEST_CASE_FIXTURE(two_cards, "a domain dies while a function is being attached, at every step") {
  REQUIRE(hold(nic));
  for (int steps = 0; steps < 24; ++steps) {
    CAPTURE(steps);
    const auto domain = host.create_domain("short");
    caf::anon_send(root, messages::attach_atom_v, domain, nic);
    for (int i = 0; i < steps; ++i) {
      step();
    }
    host.toolstack_destroy(domain);
    run();
    advance(std::chrono::seconds(20));
    check_clean(nic);
    check_forgotten(domain);
    CHECK_FALSE(host.xenstore().list(fmt::format("/local/domain/{}", domain)));
    CHECK(node("/libxl/pci/0000-00-03-0/domid").empty());
  }
}

TEST_SUITE_END();
