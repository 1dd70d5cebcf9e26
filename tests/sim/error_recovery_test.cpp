// SPDX-License-Identifier: GPL-2.0-or-later
// Errors of functions: what a guest is asked, how its function comes back, and what happens when it does not recover.
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

TEST_CASE_FIXTURE(erring, "an error that the guest's driver can recover from costs no reset") {
  answer({{detected, can_recover}, {mmio, recovered}});
  const auto resets = host.xen().facts(nic)->resets;
  const auto spurious = guest_status(domain).spurious;
  inject(error_severity::nonfatal);
  CHECK(asked() == asked_steps{detected, mmio, resume});
  CHECK(host.xen().facts(nic)->resets == resets);
  CHECK(requests.front().err == 1); // io_normal
  CHECK(requests.front().domain == 0);
  CHECK(requests.front().bus == 0);
  CHECK(requests.front().devfn == 0); // where the guest sees it
  check_works();
  const auto errors = account();
  CHECK(errors.nonfatal == 1);
  CHECK(errors.recovered == 1);
  CHECK(errors.failed == 0);
  CHECK(errors.last == "non-fatal: Poisoned TLP");
  CHECK(guest_status(domain).spurious == spurious); // an answer is no event for nothing
}

TEST_CASE_FIXTURE(erring, "a function that needs a reset gets its configuration and its vectors back") {
  answer({{detected, need_reset}, {slot_reset, recovered}});
  const auto resets = host.xen().facts(nic)->resets;
  inject(error_severity::nonfatal);
  CHECK(asked() == asked_steps{detected, slot_reset, resume});
  CHECK(host.xen().facts(nic)->resets == resets + 1);
  check_works();
  CHECK(account().recovered == 1);
}

TEST_CASE_FIXTURE(erring, "a function that has no reset method is restored as it is") {
  const auto plain = pci::make_sbdf(0, 0, 6, 0);
  auto model = platform::sim::place(*platform::sim::builtin_model("e1000e"), plain);
  model.has_reset = false;
  host.add_function(model);
  REQUIRE(hold(plain));
  const auto domain = boot("third", {plain});
  guest = std::make_unique<frontend>(host, domain, *this);
  REQUIRE(guest->connect());
  answer({{detected, need_reset}, {slot_reset, recovered}});
  host.inject_error(plain, error_severity::nonfatal);
  settle();
  CHECK(asked() == asked_steps{detected, slot_reset, resume});
  CHECK(account(plain).recovered == 1);
}

TEST_CASE_FIXTURE(erring, "after a fatal error the guest finds its function as it was") {
  answer({{detected, need_reset}, {slot_reset, recovered}});
  inject(error_severity::fatal);
  CHECK(asked() == asked_steps{detected, slot_reset, resume});
  CHECK(requests.front().err == 2); // io_frozen
  CHECK(requests.back().err == 1);
  check_works();
  CHECK(account().fatal == 1);
  CHECK(account().recovered == 1);
}

TEST_CASE_FIXTURE(erring, "MSI comes back after a reset, too") {
  card->remove();
  REQUIRE(guest->enable_msi(first_slot).good());
  REQUIRE(guest->write(first_slot, 4, 2, 6).good());
  answer({{detected, need_reset}, {slot_reset, recovered}});
  inject(error_severity::fatal);
  CHECK(msi_on(nic));
  CHECK(host.xen().raise(nic));
  CHECK(guest->interrupts(guest->pirqs(first_slot).front()) == 1);
}

TEST_CASE_FIXTURE(erring, "a driver that gives its vectors back and takes them again while it recovers") {
  for (const auto severity : {error_severity::nonfatal, error_severity::fatal}) {
    guest->handle_aer([&](const pci::wire::aer_operation& request) -> std::optional<std::int32_t> {
      if (request.cmd == detected) {
        card->remove(); // e1000e's pm_freeze and pci_disable_device
        return need_reset;
      }
      if (request.cmd == resume) {
        CHECK(card->probe(3));
      }
      return recovered;
    });
    inject(severity);
    check_works();
  }
  CHECK(account().recovered == 2);
  CHECK(guest->timeouts() == 0);
}

TEST_CASE_FIXTURE(erring, "the function is not touched before the kernel has ended its reset of the bus") {
  answer({{detected, need_reset}, {slot_reset, recovered}});
  host.report_error(nic, error_severity::fatal, "Malformed TLP");
  settle();
  CHECK(asked() == asked_steps{detected});
  // Accesses are refused at once: they would wait for the reset.
  const auto accesses = host.xen().config_accesses();
  CHECK(guest->read(first_slot, 0x44, 4).error == -5);
  CHECK(guest->write(first_slot, 4, 2, 0).error == -5);
  CHECK(host.xen().config_accesses() == accesses);
  CHECK(guest->timeouts() == 0);
  advance(2s);
  CHECK(asked() == asked_steps{detected});
  host.pci().reset_bus(nic);
  host.end_recovery(nic);
  settle();
  CHECK(asked() == asked_steps{detected, slot_reset, resume});
  check_works();
}

TEST_CASE_FIXTURE(erring, "a kernel that never says that it has ended is not waited for") {
  answer({{detected, need_reset}, {slot_reset, recovered}});
  host.report_error(nic, error_severity::fatal, "");
  settle();
  CHECK(account().last == "fatal: status unknown");
  const auto resets = host.xen().facts(nic)->resets;
  advance(11s);
  settle();
  CHECK(host.xen().facts(nic)->resets == resets + 1);
  CHECK(asked() == asked_steps{detected, slot_reset, resume});
  check_works();
}

TEST_CASE_FIXTURE(erring, "without the tracepoint a reset of the bus is noticed by what it did") {
  answer({{detected, need_reset}, {slot_reset, recovered}});
  host.end_recovery(nic); // a non-fatal error: nobody can say whose
  settle();
  CHECK(asked().empty());
  host.pci().reset_bus(nic);
  host.end_recovery(nic);
  settle();
  CHECK(asked() == asked_steps{detected, slot_reset, resume});
  CHECK(requests.front().err == 2);
  check_works();
}

// -- a guest that does not recover

TEST_CASE("every answer that is no recovery stops the guest, at every step") {
  struct row {
    answers with;
    asked_steps asked;
  };
  std::vector<row> rows;
  for (const std::int32_t bad : {none, disconnect, no_aer_driver, 0, 7, -1, 0x7fffffff}) {
    rows.push_back({{{detected, bad}}, {detected}});
    rows.push_back({{{detected, can_recover}, {mmio, bad}}, {detected, mmio}});
    rows.push_back({{{detected, need_reset}, {slot_reset, bad}}, {detected, slot_reset}});
  }
  rows.push_back({{{detected, can_recover}, {mmio, can_recover}}, {detected, mmio}});
  rows.push_back({{{detected, need_reset}, {slot_reset, need_reset}}, {detected, slot_reset}});
  for (const auto& row : rows) {
    CAPTURE(row.asked.size());
    erring world;
    world.answer(row.with);
    world.inject(error_severity::nonfatal);
    CHECK(world.asked() == row.asked);
    world.check_stopped();
  }
}

TEST_CASE("a guest that does not answer in time is stopped, and nobody waits for it") {
  for (const asked_steps& asked :
       {asked_steps{detected}, {detected, mmio}, {detected, mmio, slot_reset}, {detected, mmio, slot_reset, resume}}) {
    CAPTURE(asked.size());
    erring world;
    answers with{{detected, can_recover}, {mmio, need_reset}, {slot_reset, recovered}, {resume, none}};
    with[asked.back()] = std::nullopt;
    world.answer(with);
    world.inject(error_severity::nonfatal);
    CHECK(world.asked() == asked);
    CHECK((world.guest->flags() & pci::wire::backend_active) != 0);
    // Its own operations go on, and others' too.
    for (int second = 0; second < 29; ++second) {
      CHECK(world.guest->read(first_slot, 0, 4).good());
      CHECK(world.other->read(first_slot, 0, 4).good());
      world.advance(1s);
      CHECK_FALSE(world.stopped(world.domain));
    }
    CHECK(world.guest->timeouts() + world.other->timeouts() == 0);
    world.advance(2s);
    world.check_stopped();
  }
}

TEST_CASE("the time for an answer is a setting") {
  actors::settings settings;
  settings.aer_patience = 3s;
  erring world(settings);
  world.answer({{detected, std::nullopt}});
  world.inject(error_severity::nonfatal);
  world.advance(2900ms);
  CHECK(world.function(nic).detail == "its guest is recovering it from an error");
  CHECK_FALSE(world.stopped(world.domain));
  world.advance(200ms);
  world.check_stopped();
}

TEST_CASE_FIXTURE(erring, "an answer whose event is lost counts when the time is over") {
  answer({{detected, std::nullopt}});
  inject(error_severity::nonfatal);
  guest->shared().aer_op.err = recovered;
  guest->set_flags(0, pci::wire::backend_active); // and no notification
  guest->service();
  advance(31s);
  CHECK_FALSE(stopped(domain));
  settle();
  CHECK(asked() == asked_steps{detected, resume});
}

TEST_CASE_FIXTURE(erring, "a frontend without a handler is not asked: the guest is stopped") {
  guest->set_flags(0, pci::wire::frontend_aer);
  inject(error_severity::nonfatal);
  CHECK(asked().empty());
  check_stopped();
}

TEST_CASE("an error of a function whose guest has no driver for it stops nobody") {
  for (const auto severity : {error_severity::nonfatal, error_severity::fatal}) {
    for (const bool handles : {true, false}) {
      CAPTURE(static_cast<int>(severity));
      CAPTURE(handles);
      erring world;
      world.card->remove(); // as `rmmod` of the driver: interrupts and mastering off
      if (!handles) {
        world.guest->set_flags(0, pci::wire::frontend_aer);
      }
      world.answer({}); // NONE: Linux's frontend has nobody to ask
      const auto resets = world.host.xen().facts(nic)->resets;
      world.inject(severity);
      CHECK_FALSE(world.stopped(world.domain));
      CHECK(world.host.xen().facts(nic)->resets == resets + 1);
      CHECK(world.account().failed == 0);
      CHECK(world.account().recovered == 1);
      REQUIRE(world.card->probe(3));
      world.check_works();
    }
  }
}

TEST_CASE_FIXTURE(erring, "a driver without handlers is another thing: its guest is stopped") {
  answer({}); // NONE, too, but the function masters the bus
  inject(error_severity::nonfatal);
  check_stopped();
}

TEST_CASE_FIXTURE(erring, "a guest that is already gone cannot be stopped again") {
  answer({{detected, disconnect}});
  host.inject_error(nic, error_severity::nonfatal);
  run();
  guest->service();
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  check_forgotten(domain);
}

TEST_CASE_FIXTURE(erring_with_log, "the policy log leaves the guest alone") {
  answer({{detected, disconnect}});
  inject(error_severity::nonfatal);
  CHECK(account().failed == 1);
  CHECK(function(nic).detail == "its guest has not recovered it from an error");
  CHECK(backend(domain, "aerState").empty());
  check_works();
  answer({{detected, can_recover}, {mmio, recovered}});
  inject(error_severity::nonfatal);
  CHECK(account().recovered == 1);
  CHECK(function(nic).detail.empty());
  // After a fatal error its accesses are let through again.
  answer({{detected, disconnect}});
  inject(error_severity::fatal);
  CHECK(account().failed == 2);
  CHECK(guest->read(first_slot, 0x44, 4).good());
}

TEST_CASE_FIXTURE(erring_with_detach, "the policy detach takes the function, and the guest goes on") {
  answer({{detected, disconnect}});
  host.inject_error(nic, error_severity::nonfatal);
  CHECK(serve(*guest, [&] { return backend(domain, "state").empty(); })); // it was the guest's only one
  CHECK_FALSE(stopped(domain));
  check_clean(nic);
  CHECK(guest->functions().empty());
  CHECK(account().failed == 1);
}

TEST_CASE("a guest is stopped, and loses its function, once for all errors that come meanwhile") {
  for (const auto policy : {pci::error_policy::kill, pci::error_policy::detach}) {
    CAPTURE(static_cast<int>(policy));
    erring world(with_policy(policy));
    world.answer({{detected, disconnect}});
    for (int i = 0; i < 5; ++i) {
      world.inject(error_severity::nonfatal);
    }
    CHECK(world.account().nonfatal == 5);
    CHECK(world.account().failed == 1);
    CHECK(world.asked() == asked_steps{detected});
  }
}

TEST_CASE_FIXTURE(erring_with_detach, "the policy detach does not ask a guest that hangs") {
  answer({{detected, std::nullopt}});
  inject(error_severity::nonfatal);
  guest->withhold(true);
  advance(31s);
  CHECK(backend(domain, "aerState") == "aerfail");
  advance(60s);
  CHECK_FALSE(stopped(domain));
  check_clean(nic);
}

TEST_SUITE_END();
