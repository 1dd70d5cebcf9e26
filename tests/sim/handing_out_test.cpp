// SPDX-License-Identifier: GPL-2.0-or-later
// A function goes from one guest to the next while others wait for it, or while what they share stays with another.
#include <array>

#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct in_turn : two_cards {
  in_turn() {
    REQUIRE(hold(nic));
    first_domain = boot("first", {nic});
    first = std::make_unique<frontend>(host, first_domain, *this);
    REQUIRE(first->connect());
    next_domain = host.create_domain("next");
  }
  domain_id first_domain = 0, next_domain = 0;
  std::unique_ptr<frontend> first;
  caf::scoped_actor asker{system, true};
};

} // namespace

TEST_CASE_FIXTURE(two_cards, "who waits for a function that somebody else gets is told so") {
  // dom0 has a card on its line: to lease it is to bind it to another holder first, which takes a while.
  host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), pci::make_sbdf(0, 0, 5, 0)), "e1000e",
                    true);
  REQUIRE(hold(nic));
  const auto device = ask<messages::device_actor>(root, messages::find_atom_v, nic).value();
  const auto quick = host.create_domain("quick");
  const auto slow = host.create_domain("slow");
  caf::scoped_actor first(system, true), second(system, true);
  auto leased =
      first->request(device, caf::infinite, messages::lease_atom_v, messages::lease_request{quick, false, {}, {}});
  auto granted = second->request(device, caf::infinite, messages::grant_atom_v, slow);
  run();
  REQUIRE(first->has_next_message());
  leased.receive([](const messages::lease&) {}, [](caf::error&) { FAIL("nobody has it"); });
  REQUIRE(second->has_next_message());
  granted.receive([] { FAIL("two have it"); },
                  [](caf::error& error) { CHECK(messages::to_failure(error, "").error == EBUSY); });
}

TEST_CASE_FIXTURE(in_turn, "an attach that had to wait for a long reset gives the guest its time all the same") {
  host.pci().before_reset([this](const pci::sbdf&, pci::reset_method) { host.time().advance(120s); });
  frontend next(host, next_domain, *this);
  host.toolstack_destroy(first_domain);
  auto attached = asker->request(root, caf::infinite, messages::attach_atom_v, next_domain, nic);
  run();
  CHECK_FALSE(asker->has_next_message());
  REQUIRE(next.connect());
  REQUIRE(wait_until([&] { return asker->has_next_message(); }, 30s));
  attached.receive([](const pci::sbdf& where) { CHECK(where == first_slot); },
                   [](caf::error& error) { FAIL(messages::to_failure(error, "").context); });
}

TEST_CASE_FIXTURE(in_turn, "a detach is done when the function is clean, also when the next guest has it at once") {
  auto detached = asker->request(root, caf::infinite, messages::detach_atom_v, first_domain, nic);
  bool next_has_it = false;
  host.pci().before_reset([&](const pci::sbdf&, pci::reset_method) {
    if (!std::exchange(next_has_it, true)) {
      // Another toolstack claims it as soon as the note is gone.
      static_cast<void>(host.xenstore().remove("/libxl/pci/0000-00-03-0"));
      caf::anon_send(device(nic), messages::grant_atom_v, next_domain);
    }
  });
  const auto begun = host.time().now();
  REQUIRE(serve(*first, [&] { return asker->has_next_message(); }));
  detached.receive([] {}, [](caf::error& error) { FAIL(messages::to_failure(error, "").context); });
  CHECK(next_has_it);
  CHECK(function(nic).domain == next_domain);
  CHECK(host.time().now() - begun < 10s);
}

TEST_CASE_FIXTURE(in_turn, "a detach whose transaction is overtaken again and again leaves no node behind") {
  auto detached = asker->request(root, caf::infinite, messages::detach_atom_v, first_domain, nic);
  REQUIRE(serve(
      *first, [&] { return backend(first_domain, "state") == "4" && function(nic).state != function_state::leased; }));
  host.store_daemon().fail_next(0, EAGAIN, 3, 1); // not the look at the state, but what follows it
  REQUIRE(serve(*first, [&] { return asker->has_next_message(); }));
  detached.receive([] {}, [](caf::error& error) { FAIL(messages::to_failure(error, "").context); });
  run();
  CHECK(node("/libxl/pci/0000-00-03-0/domid").empty());
  CHECK(backend(first_domain, "num_devs").empty());
  check_clean(nic);
}

TEST_CASE_FIXTURE(two_cards, "a function whose line is connected nowhere is given without one") {
  const auto card = pci::make_sbdf(0, 0, 5, 0);
  for (const unsigned irq : {255U, 2147483648U}) { // unknown to the firmware; Linux's IRQ_NOTCONNECTED
    CAPTURE(irq);
    auto model = platform::sim::place(*platform::sim::builtin_model("e1000e"), card);
    model.irq = irq;
    host.add_function(std::move(model), "e1000e");
    REQUIRE(hold(card));
    CHECK(function(card).gsi == 0);
    const auto domain = host.create_domain("guest");
    const auto given = ask<void>(device(card), messages::grant_atom_v, domain);
    CHECK_MESSAGE(given, (given ? "" : pci::to_string(given.error())));
    CHECK(host.xen().facts(card)->owner == domain);
    host.toolstack_destroy(domain);
    run();
    check_clean(card);
    REQUIRE(release(card));
    REQUIRE(host.remove_function(card));
    run();
  }
}

TEST_CASE_FIXTURE(two_cards, "a ROM that nobody gave an address gives a guest none of the host's memory") {
  const auto card = pci::make_sbdf(0, 0, 6, 0);
  auto model = platform::sim::place(*platform::sim::builtin_model("e1000e"), card);
  model.resources = {};
  model.resources[0] = {0xfe123000, 0xfe123fff, pci::resource::memory};
  model.resources[6] = {0, 0x7ffff, 0x46200};
  host.add_function(model, "e1000e");
  REQUIRE(hold(card));
  const auto domain = host.create_domain("guest");
  const auto device = ask<messages::device_actor>(root, messages::find_atom_v, card).value();
  REQUIRE(ask<void>(device, messages::grant_atom_v, domain));
  CHECK(host.xen().holdings(domain).frames == 1);
  REQUIRE(ask<void>(device, messages::revoke_atom_v, domain));
  CHECK(host.xen().holdings(domain) == platform::sim::domain_holdings{});
}

TEST_CASE_FIXTURE(two_cards,
                  "two functions with registers in one page: the page is the guest's until the last is taken") {
  std::array<pci::sbdf, 2> twins{};
  for (unsigned index = 0; index < twins.size(); ++index) {
    twins[index] = pci::make_sbdf(0, 0, static_cast<std::uint8_t>(6 + index), 0);
    auto model = platform::sim::place(*platform::sim::builtin_model("e1000e"), twins[index]);
    model.resources = {};
    const std::uint64_t start = 0xfe123000 + 0x100 * index;
    model.resources[0] = {start, start + 0xff, pci::resource::memory};
    host.add_function(model, "e1000e");
    REQUIRE(hold(twins[index]));
  }
  const auto domain = host.create_domain("guest");
  for (const unsigned first : {0U, 1U}) {
    for (const auto& each : twins) {
      REQUIRE(ask<void>(device(each), messages::grant_atom_v, domain));
    }
    REQUIRE(ask<void>(device(twins[first]), messages::revoke_atom_v, domain));
    CHECK(host.xen().holdings(domain).frames == 1);
    REQUIRE(ask<void>(device(twins[1 - first]), messages::revoke_atom_v, domain));
    CHECK(host.xen().holdings(domain) == platform::sim::domain_holdings{});
  }
}

TEST_CASE_FIXTURE(two_cards, "a function with reserved memory: it is noted, and named when Xen refuses because of it") {
  host.pci().set_reserved_regions({{0x7a000000, 0x7a7fffff, {nic, disk}}});
  REQUIRE(hold(nic));
  CHECK(function(nic).notes == std::vector<std::string>{"the firmware gives it reserved memory (RMRR) at "
                                                        "7a000000-7a7fffff, with 0000:00:04.0"});
  host.create_domain("guest");
  host.xen().fail_call("assign_device", EPERM);
  const auto refused = attach("guest", nic);
  host.xen().fail_call("", 0);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EPERM);
  CHECK(refused.error().context.find("(RMRR) at 7a000000-7a7fffff, with 0000:00:04.0") != std::string::npos);
}

TEST_CASE_FIXTURE(two_cards, "a function that Xen does not put into quarantine for its reserved memory: that is said") {
  SUBCASE("the firmware's tables name it") {
    host.pci().set_reserved_regions({{0x7a000000, 0x7a7fffff, {nic, disk}}});
    host.xen().fail_call("assign_device", EPERM);
    const auto refused = hold(nic);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().context.find("reserved memory (RMRR) at 7a000000-7a7fffff, with 0000:00:04.0") !=
          std::string::npos);
  }
  SUBCASE("they do not") {
    host.xen().fail_call("assign_device", EPERM);
    const auto refused = hold(nic);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().context.find("that shares reserved memory (RMRR) with another") != std::string::npos);
  }
}

TEST_SUITE_END();
