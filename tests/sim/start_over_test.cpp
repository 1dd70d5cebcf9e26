// SPDX-License-Identifier: GPL-2.0-or-later
// Frontends that begin again, with a word or without, and toolstacks that reset what both sides say.
#include "erring.hpp"
#include "pci/interrupts/message_interrupts.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using platform::sim::driver;
using platform::sim::flavour;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct starting : two_cards {
  starting() {
    REQUIRE(hold(nic));
    REQUIRE(hold(disk));
    domain = boot("guest", {nic, disk});
  }
  std::string state() { return backend(domain, "state"); }
  void write(const std::string& path, std::string_view value) { REQUIRE(host.xenstore().write(path, value)); }
  std::string front(const std::string& name) { return platform::sim::frontend_path(domain) + "/" + name; }
  std::string back(const std::string& name) { return platform::sim::backend_path(domain) + "/" + name; }

  /// Connected as if it were the first: one page, one channel, nothing on but what its driver has asked for.
  void check_serves(frontend& guest) {
    CHECK(state() == "4");
    CHECK(guest.state() == 4);
    CHECK(host.grant_table().mapped(domain) == 1);
    CHECK(host.channels().bound() == 1);
    CHECK(guest.functions().size() == 2);
    CHECK(guest.timeouts() == 0);
    const auto slot = guest.kind() == flavour::mini_os ? nic : first_slot;
    CHECK(guest.read(slot, 0, 4).value == 0x10d38086);
    driver card(guest, slot);
    REQUIRE(card.probe(2));
    const auto before = card.interrupts(); // a line's pirq is the same for each frontend
    if (guest.uses_messages()) {
      CHECK(host.xen().raise(nic, 1));
    } else {
      CHECK(host.xen().raise_intx(nic));
      host.xen().lower_intx(nic);
    }
    CHECK(card.interrupts() == before + 1);
    if (!guest.uses_messages()) { // the line's pirq is the same for the next one, whose kernel has reset its channels
      guest.unbind_pirq(card.pirqs().front());
    }
  }
  void check_nothing_on() {
    CHECK(holding_pirqs(domain) == 0);
    CHECK_FALSE(msix_on(nic));
    CHECK_FALSE(masters(nic));
    CHECK_FALSE(host.xen().facts(nic)->poisoned);
    CHECK(function(nic).vectors.empty());
  }

  domain_id domain = 0;
};

constexpr std::array<frontend::start_over_how, 4> every_way{
    {{false, false}, {false, true}, {true, false}, {true, true}}};

} // namespace

TEST_CASE("every frontend starts over while it is connected, in every way, and is served again") {
  for (const auto whose : {flavour::linux, flavour::mini_os, flavour::netbsd, flavour::freebsd}) {
    for (const auto& how : every_way) {
      CAPTURE(static_cast<int>(whose));
      CAPTURE(how.through_initialising);
      CAPTURE(how.close_old_port);
      starting world;
      frontend guest(world.host, world.domain, world, whose);
      REQUIRE(guest.connect());
      for (int round = 0; round < 3; ++round) {
        world.check_serves(guest);
        guest.scan_on_connect(round == 1); // also one that does not look around before it is in 4
        REQUIRE(guest.start_over(how, 10s));
        world.wait_until([&] { return !world.masters(nic); }, 1s);
        world.check_nothing_on();
        static_cast<void>(guest.scan());
      }
      world.check_serves(guest);
      world.host.toolstack_destroy(world.domain);
      world.run();
      world.check_clean(nic);
      world.check_clean(disk);
      world.check_forgotten(world.domain);
    }
  }
}

TEST_CASE("a frontend that took its state away and comes again is given its functions in Xen again") {
  for (const std::string_view gone : {"0", "9", "", "none"}) {
    CAPTURE(gone);
    starting world;
    frontend before(world.host, world.domain, world);
    REQUIRE(before.connect());
    REQUIRE(before.write_node("state", gone));
    world.run();
    CHECK(world.state() == "6");
    CHECK(world.function(nic).state == function_state::held);
    CHECK(world.host.xen().facts(nic)->owner != world.domain);
    REQUIRE(before.write_node("state", "1"));
    world.write(world.back("online"), "1"); // nobody watches what the guest writes meanwhile
    world.run();
    CHECK(world.host.xen().facts(nic)->owner == world.domain);
    frontend after(world.host, world.domain, world);
    REQUIRE(after.connect());
    world.check_serves(after);
    world.host.toolstack_destroy(world.domain);
    world.run();
    world.check_clean(nic);
    world.check_clean(disk);
    world.check_forgotten(world.domain);
  }
}

TEST_CASE_FIXTURE(starting, "a frontend that starts over with the same page and channel") {
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  check_serves(guest);
  REQUIRE(guest.write_node("state", "3"));
  run();
  CHECK(state() == "4");
  check_nothing_on();
  REQUIRE(guest.write_node("state", "4"));
  run();
  CHECK(host.grant_table().mapped(domain) == 1);
  CHECK(guest.read(first_slot, 0, 4).good());
}

TEST_CASE_FIXTURE(starting, "what the last frontend wrote into the registers is forgotten") {
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  const auto before = guest.read(first_slot, 4, 2).value;
  const auto bar = guest.read(first_slot, 0x10, 4).value;
  check_serves(guest);
  CHECK(guest.read(first_slot, 4, 2).value != before);
  REQUIRE(guest.write(first_slot, 0x10, 4, 0xffffffff).good()); // in the middle of sizing
  guest.scan_on_connect(false);
  REQUIRE(guest.start_over({}, 10s));
  run();
  CHECK(guest.read(first_slot, 4, 2).value == before);
  CHECK(guest.read(first_slot, 0x10, 4).value == bar);
}

TEST_CASE_FIXTURE(starting,
                  "a module that is unloaded and loaded again, quickly or not, with its driver's things or not") {
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  for (const auto pause : {0ms, 1ms, 300ms, 3000ms}) {
    CAPTURE(pause.count());
    check_serves(guest);
    guest.unload();
    if (pause != 0ms) {
      advance(pause);
      CHECK(host.grant_table().mapped(domain) == 0);
    }
    REQUIRE(guest.connect(10s));
  }
  check_serves(guest);
}

TEST_CASE_FIXTURE(starting, "a frontend that closes in order finds Closed for a while, then what the next one needs") {
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  check_serves(guest);
  REQUIRE(guest.shutdown());
  run();
  CHECK(state() == "6");
  advance(500ms);
  CHECK(state() == "6");
  advance(1s);
  CHECK(state() == "3");
  CHECK(host.grant_table().mapped(domain) == 0);
  check_nothing_on();
  advance(30s);
  CHECK(state() == "3"); // and stays so
  REQUIRE(guest.connect(10s));
  check_serves(guest);
}

TEST_CASE_FIXTURE(starting, "a toolstack that resets the states has the frontend connect anew") {
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  check_serves(guest);
  SUBCASE("the frontend's alone, as Linux 7.1 takes it") {
    write(front("state"), "1");
    run();
    CHECK(guest.read(first_slot, 0, 4).good()); // an older one takes no notice, and is served on
  }
  SUBCASE("both") {
    write(front("state"), "1");
    write(back("state"), "1");
    run();
  }
  SUBCASE("the backend's to 2") {
    write(back("state"), "2");
    run();
    CHECK(state() == "3");
  }
  SUBCASE("the backend's to 3") {
    write(back("state"), "3");
    run();
    CHECK(state() == "4"); // the frontend knows nothing of it, and is served on
    CHECK(guest.read(first_slot, 0, 4).good());
  }
  SUBCASE("while a function is to be added") {
    write(back("state"), "7");
    run();
  }
  REQUIRE(guest.start_over({}, 20s));
  CHECK(wait_until([&] { return state() == "4"; }, 20s));
  static_cast<void>(guest.scan());
  check_serves(guest);
}

TEST_CASE_FIXTURE(starting, "a frontend that starts over in the middle of a hot-plug loses nothing") {
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  check_serves(guest);
  REQUIRE(host.toolstack_detach(domain, disk));
  run();
  REQUIRE(state() == "7");
  REQUIRE(guest.start_over({true, true}, 20s));
  REQUIRE(serve(guest, [&] { return state() == "4"; }));
  REQUIRE(host.toolstack_finish_detach(domain, disk));
  run();
  check_clean(disk);
  static_cast<void>(guest.scan());
  CHECK(guest.functions().size() == 1);
  CHECK(guest.read(first_slot, 0, 4).good());
}

TEST_CASE_FIXTURE(erring, "a frontend that starts over while its function recovers") {
  pci::error_severity severity{};
  SUBCASE("before its driver has answered") { severity = pci::error_severity::nonfatal; }
  SUBCASE("while the kernel resets the bus") { severity = pci::error_severity::fatal; }
  answer({{detected, std::nullopt}});
  host.report_error(nic, severity, "Malformed TLP");
  settle();
  REQUIRE(asked() == asked_steps{detected});
  guest->scan_on_connect(false);
  REQUIRE(guest->start_over({}, 20s));
  if (severity == pci::error_severity::fatal) {
    host.pci().reset_bus(nic);
    host.end_recovery(nic);
  }
  advance(15s);
  settle();
  CHECK_FALSE(stopped(domain));
  CHECK(holding_pirqs(domain) == 0);
  static_cast<void>(guest->scan());
  card.emplace(*guest, first_slot);
  REQUIRE(card->probe(3));
  check_works();
  CHECK(account().recovered == 1);
  CHECK(account().failed == 0);
}

TEST_CASE_FIXTURE(starting, "a guest that starts over all the time costs itself time, and nobody else") {
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  guest.scan_on_connect(false);
  const auto begun = host.grant_table().maps();
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(guest.write_node("state", i % 2 == 0 ? "3" : "4"));
    advance(10ms);
  }
  CHECK(host.grant_table().maps() - begun < 60); // in 10 s
  REQUIRE(guest.write_node("state", "4"));
  advance(5s);
  CHECK(host.grant_table().mapped(domain) == 1);
  CHECK(guest.read(first_slot, 0, 4).good());
}

TEST_CASE_FIXTURE(starting, "a frontend that is another by the time it is connected to is no error") {
  frontend guest(host, domain, *this);
  REQUIRE(guest.start());
  host.channels().close(domain, guest.event_channel()); // its port is gone before the backend has looked
  while (step()) {
    if (host.grant_table().maps() != 0) {
      break;
    }
  }
  REQUIRE(guest.connect(10s));
  CHECK(error_node(domain).empty());
  static_cast<void>(guest.scan());
  check_serves(guest);
}

TEST_SUITE_END();
