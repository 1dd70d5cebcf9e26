// SPDX-License-Identifier: GPL-2.0-or-later
// Errors of functions: whatever else happens meanwhile, and several at once.
#include "erring.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::error_policy;
using pci::error_severity;
using pci::op_code;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

TEST_CASE("a guest is destroyed at every moment of a recovery") {
  for (const auto severity : {error_severity::nonfatal, error_severity::fatal}) {
    erring world;
    for (int steps = 0; steps < 60; ++steps) {
      CAPTURE(steps);
      if (steps != 0) {
        world.domain = world.boot("victim", {nic});
        world.card.reset();
        world.guest = std::make_unique<frontend>(world.host, world.domain, world);
        REQUIRE(world.guest->connect());
        REQUIRE(driver(*world.guest, first_slot).probe(3));
      }
      world.answer({{detected, need_reset}, {slot_reset, recovered}});
      world.host.inject_error(nic, severity);
      for (int i = 0; i < steps; ++i) {
        world.step();
        world.guest->service();
      }
      world.host.toolstack_destroy(world.domain);
      world.run();
      world.advance(60s);
      world.check_clean(nic);
      world.check_forgotten(world.domain);
      CHECK(world.other->read(first_slot, 0, 4).good());
    }
  }
}

TEST_CASE("a function is detached at every moment of a recovery") {
  for (int steps = 0; steps < 40; ++steps) {
    CAPTURE(steps);
    erring world;
    world.answer({{detected, need_reset}, {slot_reset, recovered}});
    world.host.inject_error(nic, steps % 2 == 0 ? error_severity::nonfatal : error_severity::fatal);
    for (int i = 0; i < steps; ++i) {
      world.step();
      world.guest->service();
    }
    caf::anon_send(world.root, messages::detach_atom_v, world.domain, nic);
    CHECK(world.serve(
        *world.guest, [&] { return world.backend(world.domain, "state").empty(); }, 60s));
    world.advance(60s);
    CHECK_FALSE(world.stopped(world.domain));
    world.check_clean(nic);
    CHECK((world.guest->flags() & pci::wire::backend_active) == 0);
  }
}

TEST_CASE_FIXTURE(erring, "a frontend that disconnects in the middle of a recovery finds its function in order") {
  answer({{detected, std::nullopt}});
  inject(error_severity::fatal);
  REQUIRE(guest->reconnect());
  run();
  CHECK(hardware(nic, 0x10, 4) == guest->functions().front().bars[0]);
  CHECK(account().recovered == 1);
  CHECK(driver(*guest, first_slot).probe(3));
  advance(60s);
  CHECK_FALSE(stopped(domain));
}

TEST_CASE_FIXTURE(two_cards, "an error before the guest's frontend is there is nobody's to recover") {
  REQUIRE(hold(nic));
  const auto domain = boot("guest", {nic});
  host.inject_error(nic, error_severity::fatal);
  run();
  CHECK(function(nic).errors.recovered == 1);
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  CHECK(guest.aer_requests().empty());
  REQUIRE(driver(guest, first_slot).probe(3));
  CHECK(host.xen().raise(nic));
}

TEST_CASE_FIXTURE(two_cards, "a fatal error of a function that nobody has: it is made clean again") {
  REQUIRE(hold(nic));
  const auto bar = hardware(nic, 0x10, 4);
  host.inject_error(nic, error_severity::fatal);
  CHECK(hardware(nic, 0x10, 4) != bar);
  run();
  check_clean(nic);
  CHECK(hardware(nic, 0x10, 4) == bar);
  CHECK(function(nic).errors.fatal == 1);
  CHECK(function(nic).errors.recovered == 0);
}

TEST_CASE_FIXTURE(erring, "new errors in the middle of a recovery start it over, not for ever") {
  int slots = 0;
  guest->handle_aer([&](const pci::wire::aer_operation& request) -> std::optional<std::int32_t> {
    if (request.cmd == slot_reset && ++slots <= 2) {
      host.inject_error(nic, slots == 1 ? error_severity::nonfatal : error_severity::fatal);
      run();
    }
    return request.cmd == detected ? need_reset : recovered;
  });
  inject(error_severity::nonfatal);
  CHECK(asked() == asked_steps{detected, slot_reset, detected, slot_reset, detected, slot_reset, resume});
  check_works();
  CHECK(account().recovered == 1);

  guest->handle_aer([&](const pci::wire::aer_operation& request) -> std::optional<std::int32_t> {
    if (request.cmd == mmio) {
      host.inject_error(nic, error_severity::nonfatal);
      run();
    }
    return request.cmd == detected ? can_recover : recovered;
  });
  inject(error_severity::nonfatal);
  CHECK(stopped(domain));
  CHECK(account().failed == 1);
}

TEST_CASE_FIXTURE(erring, "an operation and an answer that come with one event are both taken") {
  answer({{detected, std::nullopt}});
  inject(error_severity::nonfatal);
  guest->shared().aer_op.err = recovered;
  guest->post(guest->make(op_code::disable_msi, second_slot));
  guest->set_flags(0, pci::wire::backend_active);
  guest->service();
  guest->kick();
  run();
  CHECK((guest->flags() & pci::wire::frontend_active) == 0);
  settle();
  CHECK(asked() == asked_steps{detected, resume});

  answer({{detected, std::nullopt}});
  inject(error_severity::nonfatal);
  guest->shared().aer_op.err = recovered;
  auto read = guest->make(op_code::conf_read, first_slot);
  read.size = 4;
  guest->post(read);
  guest->set_flags(0, pci::wire::backend_active);
  guest->service();
  guest->kick();
  run();
  CHECK((guest->flags() & pci::wire::frontend_active) == 0);
  settle();
  CHECK(asked().size() == 4);
  CHECK(asked().back() == resume);
}

TEST_CASE_FIXTURE(two_cards, "two functions of one guest recover at once, one request in the page at a time") {
  REQUIRE(hold(nic));
  REQUIRE(hold(disk));
  const auto domain = boot("guest", {nic, disk});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  std::vector<std::pair<std::uint32_t, std::uint32_t>> seen;
  guest.handle_aer([&](const pci::wire::aer_operation& request) -> std::optional<std::int32_t> {
    seen.emplace_back(request.cmd, request.devfn);
    return request.cmd == detected ? can_recover : recovered;
  });
  host.inject_error(nic, error_severity::nonfatal);
  host.inject_error(disk, error_severity::nonfatal);
  run();
  while (guest.service()) {
    run();
  }
  std::map<std::uint32_t, asked_steps> of;
  for (const auto& [what, devfn] : seen) {
    of[devfn].push_back(what);
  }
  CHECK(of[0x00] == asked_steps{detected, mmio, resume});
  CHECK(of[0x08] == asked_steps{detected, mmio, resume});
  CHECK(function(nic).errors.recovered == 1);
  CHECK(function(disk).errors.recovered == 1);
}

TEST_CASE_FIXTURE(two_cards, "a reset of a bus concerns all below it, an error without a reset only its function") {
  const auto bridge = pci::make_sbdf(0, 0, 0x1c, 0);
  const auto first = pci::make_sbdf(0, 1, 0, 0), second = pci::make_sbdf(0, 1, 1, 0);
  for (const auto& each : {first, second}) {
    auto model = platform::sim::place(*platform::sim::builtin_model("e1000e"), each);
    model.bridges = {bridge};
    host.add_function(model);
    REQUIRE(hold(each));
  }
  REQUIRE(hold(nic));
  std::vector<std::unique_ptr<frontend>> guests;
  for (const auto& each : {first, second, nic}) {
    guests.push_back(std::make_unique<frontend>(host, boot(pci::to_string(each), {each}), *this));
    REQUIRE(guests.back()->connect());
    REQUIRE(driver(*guests.back(), first_slot).probe(2));
    guests.back()->answer_aer_with(recovered);
  }
  const auto settle = [&] {
    for (bool more = true; more;) {
      run();
      more = false;
      for (const auto& guest : guests) {
        more = guest->service() || more;
      }
    }
  };
  host.inject_error(first, error_severity::nonfatal);
  settle();
  CHECK(guests[0]->aer_requests() == asked_steps{detected, resume});
  CHECK(guests[1]->aer_requests().empty());

  host.inject_error(first, error_severity::fatal);
  settle();
  CHECK(guests[0]->aer_requests().size() == 4);
  CHECK(guests[1]->aer_requests() == asked_steps{detected, resume});
  CHECK(guests[2]->aer_requests().empty());
  for (const auto& each : {first, second}) {
    CHECK(host.xen().raise(each));
    CHECK(masters(each));
  }

  host.report_error(bridge, error_severity::fatal, "Surprise Down Error"); // the link's own
  settle();
  CHECK(guests[0]->aer_requests().size() == 5);
  CHECK(guests[1]->aer_requests().size() == 3);
  host.pci().reset_bus(first);
  host.pci().reset_bus(second);
  host.end_recovery(bridge);
  settle();
  CHECK(guests[0]->aer_requests().size() == 6);
  CHECK(guests[1]->aer_requests().size() == 4);
  CHECK(function(second).errors.recovered == 2);
  CHECK(function(second).errors.fatal == 0); // it reported none itself
}

TEST_CASE_FIXTURE(erring, "errors that the hardware corrected are counted, however many, and trouble nobody") {
  for (int i = 0; i < 100000; ++i) {
    host.report_error(nic, error_severity::corrected, "Bad TLP");
  }
  int messages = 0;
  while (step()) {
    ++messages;
  }
  CHECK(messages < 10);
  CHECK(account().corrected == 100000);
  CHECK(account().last == "corrected: Bad TLP");
  CHECK(asked().empty());
  check_works();
}

TEST_CASE_FIXTURE(erring, "an error of a function that is not held is not the daemon's") {
  host.report_error(pci::make_sbdf(0, 9, 0, 0), error_severity::fatal, "Malformed TLP");
  host.end_recovery(pci::make_sbdf(0, 9, 0, 0));
  settle();
  CHECK(asked().empty());
  check_works();
}

TEST_SUITE_END();
