// SPDX-License-Identifier: GPL-2.0-or-later
// Functions whose only reset hits others, functions without any, and methods that a card does not survive.
#include "actors/device/reset_memory.hpp"
#include "pass.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::reset_method;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

/// Two functions of one card: each can be reset by its bus only, and the other with it.
struct one_card : two_cards {
  one_card() {
    for (const auto& [each, other] : {std::pair{nic, disk}, {disk, nic}}) {
      host.pci().take_resets(each);
      host.pci().add_reset_option(each, {reset_method::bus, {other}});
    }
    host.pci().before_reset([this](const pci::sbdf&, reset_method) { ++bus_resets; });
  }
  void hold_both() {
    REQUIRE(hold(nic));
    REQUIRE(hold(disk));
    bus_resets = 0;
  }
  void use(domain_id domain, const pci::sbdf& slot) {
    frontend guest(host, domain, *this);
    REQUIRE(guest.connect());
    REQUIRE(driver(guest, slot).probe(2));
  }
  unsigned resets(const pci::sbdf& address) { return host.xen().facts(address)->resets; }
  bool says(const pci::sbdf& address, const std::string& words) {
    const auto detail = function(address).detail;
    CAPTURE(detail);
    CHECK(detail.find(words) != std::string::npos);
    return detail.find(words) != std::string::npos;
  }
  unsigned bus_resets = 0;
};

} // namespace

TEST_CASE_FIXTURE(one_card, "two functions that only a common reset cleans, both in one guest: reset when it ends") {
  REQUIRE(hold(nic));
  CHECK(says(nic, "bus would hit 0000:00:04.0, not held"));
  REQUIRE(hold(disk));
  CHECK(function(nic).detail.empty()); // it was reset with the other
  for (int times = 0; times < 3; ++times) {
    const auto domain = boot("guest", {nic, disk});
    {
      frontend guest(host, domain, *this);
      REQUIRE(guest.connect());
      REQUIRE(driver(guest, first_slot).probe(2));
    }
    const auto before = std::pair{resets(nic), resets(disk)};
    bus_resets = 0;
    host.toolstack_destroy(domain);
    run();
    check_clean(nic);
    check_clean(disk);
    CHECK(bus_resets == 1);
    CHECK(std::pair{resets(nic), resets(disk)} == std::pair{before.first + 1, before.second + 1});
    CHECK(function(nic).detail.empty());
    check_forgotten(domain);
  }
}

TEST_CASE_FIXTURE(one_card,
                  "while the other's guest lives on it is not clean, and says with whom it shares its reset") {
  hold_both();
  const auto first = boot("first", {nic}), second = boot("second", {disk});
  use(first, first_slot);
  frontend user(host, second, *this);
  REQUIRE(user.connect());
  driver card(user, first_slot);
  REQUIRE(card.probe(2));
  const auto before = resets(nic);
  host.toolstack_destroy(first);
  run();
  CHECK(function(nic).state == function_state::scrubbing);
  CHECK_FALSE(masters(nic));
  pass(*this, 6s);
  CHECK(function(nic).state == function_state::failed);
  CHECK(says(nic, "it shares its reset by bus with 0000:00:04.0"));
  const auto device = ask<messages::device_actor>(root, messages::find_atom_v, nic).value();
  const auto refused = ask<void>(device, messages::grant_atom_v, host.create_domain("third"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EBUSY);
  CHECK(refused.error().context.find("0000:00:04.0") != std::string::npos);
  CHECK(resets(nic) == before);
  CHECK(host.xen().raise(disk, 1)); // its guest has noticed nothing
  CHECK(card.interrupts() == 1);
  CHECK_FALSE(retry(nic));
  CHECK(resets(nic) == before);

  host.toolstack_destroy(second);
  run();
  check_clean(nic); // by itself
  check_clean(disk);
  CHECK(resets(nic) == before + 1);
}

TEST_CASE_FIXTURE(one_card,
                  "who waits for the function is told when its neighbour keeps it waiting, or gets it clean") {
  hold_both();
  const auto first = boot("first", {nic}), second = boot("second", {disk});
  use(first, first_slot);
  use(second, first_slot);
  host.toolstack_destroy(first);
  run();
  const auto device = ask<messages::device_actor>(root, messages::find_atom_v, nic).value();
  SUBCASE("told") {
    const auto refused = ask<void>(device, messages::grant_atom_v, host.create_domain("third"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().context.find("0000:00:04.0") != std::string::npos);
    host.toolstack_destroy(second);
    run();
  }
  SUBCASE("clean in time") {
    const auto third = host.create_domain("third");
    caf::scoped_actor asker(system, true);
    auto granted = asker->request(device, caf::infinite, messages::grant_atom_v, third);
    pass(*this, 1s);
    CHECK_FALSE(asker->has_next_message());
    const auto before = resets(nic);
    host.toolstack_destroy(second);
    run();
    REQUIRE(asker->has_next_message());
    granted.receive([] {}, [](caf::error&) { CHECK(false); });
    CHECK(resets(nic) == before + 1);
    CHECK(resets(disk) >= 1);
    host.toolstack_destroy(third);
    run();
  }
  SUBCASE("the neighbour has a better method of its own") {
    host.pci().add_reset_option(disk, {reset_method::flr, {}});
    all->resets->note_fatal(*host.pci().describe(disk), reset_method::bus);
    pass(*this, 6s);
    const auto before = resets(nic);
    host.toolstack_destroy(second);
    run();
    CHECK(resets(nic) == before + 1);
  }
  SUBCASE("the neighbour goes from the host") {
    host.toolstack_destroy(second);
    host.remove_function(disk);
    run();
    pass(*this, 6s);
    CHECK(wait_until_held(nic));
    CHECK(says(nic, "bus would hit 0000:00:04.0, not held"));
    return;
  }
  SUBCASE("it is given back to dom0 meanwhile") {
    pass(*this, 6s);
    CHECK(release(nic));
    host.toolstack_destroy(second);
    run();
    check_clean(disk); // no reset: the neighbour is dom0's
    CHECK(says(disk, "bus would hit 0000:00:03.0, not held"));
    return;
  }
  check_clean(nic);
  check_clean(disk);
}

TEST_CASE_FIXTURE(two_cards, "a function that cannot be reset at all is said to be so") {
  host.pci().take_resets(nic);
  REQUIRE(hold(nic));
  CHECK(function(nic).state == function_state::held);
  CHECK(function(nic).detail == "it cannot be reset: what a guest has left inside stays");
}

namespace {

struct fatal_flr : two_cards {
  fatal_flr() {
    host.pci().take_resets(nic);
    host.pci().add_reset_option(nic, {reset_method::flr, {}});
    host.pci().make_fatal(nic, reset_method::flr);
    host.pci().before_reset([this](const pci::sbdf&, reset_method how) { done.push_back(how); });
  }
  std::vector<reset_method> done;
};

} // namespace

TEST_CASE_FIXTURE(fatal_flr,
                  "a card that is silent after a reset is reset by the next method, and never by that one again") {
  host.pci().add_reset_option(nic, {reset_method::bus, {}});
  REQUIRE(hold(nic));
  CHECK(done == std::vector{reset_method::flr, reset_method::bus});
  check_clean(nic);
  done.clear();
  const auto domain = boot("guest", {nic});
  {
    frontend guest(host, domain, *this);
    REQUIRE(guest.connect());
    REQUIRE(driver(guest, first_slot).probe(3));
  }
  host.toolstack_destroy(domain);
  run();
  CHECK(done == std::vector{reset_method::bus});
  check_clean(nic);
}

TEST_CASE_FIXTURE(fatal_flr, "a card that no method brings back is not clean") {
  CHECK_FALSE(hold(nic));
  CHECK(function(nic).state == function_state::failed);
  CHECK_MESSAGE(function(nic).detail.find("is silent, and was not reset: flr kills it") != std::string::npos,
                function(nic).detail);
  CHECK(done.size() == 1);
}

TEST_SUITE_END();

TEST_CASE("a method that killed a card is known to the next daemon, and forgotten when the host is booted") {
  const auto records = std::make_shared<platform::memory_records>();
  pci::function card, other;
  card.vendor = 0x8086;
  card.device = 0x10d3;
  other.vendor = 0x8086;
  other.device = 0x10d4;
  {
    actors::reset_memory memory(records, "boot 1");
    CHECK_FALSE(memory.is_fatal(card, reset_method::flr));
    memory.note_fatal(card, reset_method::flr);
    memory.note_fatal(card, reset_method::flr);
    CHECK(memory.is_fatal(card, reset_method::flr));
    CHECK_FALSE(memory.is_fatal(card, reset_method::bus));
    CHECK_FALSE(memory.is_fatal(other, reset_method::flr));
  }
  CHECK(actors::reset_memory(records, "boot 1").is_fatal(card, reset_method::flr));
  CHECK(actors::journal(records).load().empty()); // it is none of the journal's records, and stays
  CHECK(actors::reset_memory(records, "boot 1").is_fatal(card, reset_method::flr));
  CHECK_FALSE(actors::reset_memory(records, "boot 2").is_fatal(card, reset_method::flr));
  CHECK_FALSE(actors::reset_memory(records, "boot 1").is_fatal(card, reset_method::flr));
}
