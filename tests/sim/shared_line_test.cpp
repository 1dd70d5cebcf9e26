// SPDX-License-Identifier: GPL-2.0-or-later
// A guest's function on an interrupt line that dom0's drivers use, and on lines of every other kind.
#include "logged_text.hpp"
#include "shared_line.hpp"

using namespace std::chrono_literals;
using namespace test;
using pci::line_decision;
using pci::line_policy;

TEST_SUITE_BEGIN("deterministic");

namespace {

actors::settings with_policy(line_policy policy) {
  actors::settings settings;
  settings.own(nic).policy.line = policy;
  settings.own(disk).policy.line = policy;
  return settings;
}

struct acknowledged_line : shared_line {
  acknowledged_line() { start_guest(); }
};

} // namespace

TEST_CASE_FIXTURE(acknowledged_line, "shared line: guest and dom0 both work through more than 120,000 interrupts") {
  CHECK(holder() == "uio_pci_generic");
  CHECK(function(nic).line == line_decision::acknowledge);
  CHECK(function(nic).acknowledging);
  CHECK(function(nic).handler);
  interrupts(121000);
  CHECK(guest->interrupts(gsi) == 121000);
  CHECK(function(nic).acknowledged == 121000);
  CHECK(function(nic).storms == 0);
  CHECK_FALSE(host.xen().line(gsi).disabled);
  CHECK(host.xen().line(gsi).delivered == 121000);
  CHECK(dom0_works());
  CHECK(guest_works());
  CHECK(function(nic).line == line_decision::acknowledge);
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
}

TEST_CASE_FIXTURE(acknowledged_line,
                  "shared line: switched off by hand it dies for dom0, and switching on revives it") {
  interrupts(10);
  REQUIRE(acknowledge(false));
  CHECK(holder() == "pci-stub");
  CHECK(masters(nic)); // uio takes it with its descriptor, when that closes first
  CHECK(function(nic).line == line_decision::switched_off);
  CHECK_FALSE(function(nic).acknowledging);
  CHECK_FALSE(function(nic).handler);
  CHECK(noted().holder == platform::holder::stub);
  CHECK_FALSE(noted().acknowledging);
  CHECK(guest_works());
  CHECK(dom0_works());

  interrupts(15000);
  CHECK(function(nic).danger == pci::line_danger::near);
  CHECK(function(nic).spurious >= 14000);
  interrupts(84900);
  CHECK_FALSE(host.xen().line(gsi).disabled);
  interrupts(100);
  CHECK(host.xen().line(gsi).disabled);
  CHECK_FALSE(dom0_works());
  CHECK(guest_works());
  advance(2s);
  CHECK(function(nic).danger == pci::line_danger::given_up);

  REQUIRE(acknowledge(true));
  CHECK(holder() == "uio_pci_generic");
  CHECK(dom0_works());
  CHECK(guest_works());
  CHECK(function(nic).acknowledged == 11);
  CHECK(function(nic).spurious >= 95000);
}

TEST_CASE_FIXTURE(acknowledged_line,
                  "shared line: a guest that is always faster than dom0's handler does not cost dom0 the line") {
  for (unsigned i = 0; i < 250000; ++i) {
    host.xen().raise_intx(nic, true);
    advance(20us);
  }
  host.xen().lower_intx(nic);
  CHECK(guest->interrupts(gsi) == 250000);
  CHECK(function(nic).acknowledged == 0);
  CHECK(function(nic).spurious > 200000);
  CHECK_FALSE(host.xen().line(gsi).disabled);
  CHECK(holder() == "uio_pci_generic");
  CHECK(function(nic).danger == pci::line_danger::none);
  CHECK(masters(nic));
  CHECK(dom0_works());
  CHECK(guest_works());
}

TEST_CASE_FIXTURE(acknowledged_line, "shared line: what a guest makes the log say of a line in danger is limited") {
  REQUIRE(acknowledge(false));
  const logged_text log;
  for (int seconds = 0; seconds < 60; ++seconds) { // dom0's counter begins anew each time that it rests
    interrupts(15000);
    advance(200ms);
  }
  CHECK(log.count() >= 1);
  CHECK(log.count() <= 2 * 10 * 3); // two measures of 10 a minute, for some two minutes
}

TEST_CASE_FIXTURE(acknowledged_line, "shared line: the switch needs a guest") {
  CHECK(acknowledge(true)); // it is on
  CHECK(holder() == "uio_pci_generic");
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  const auto refused = acknowledge(true);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == ENODEV);
}

TEST_CASE_FIXTURE(acknowledged_line, "shared line: the guest dies while the switch is thrown") {
  caf::anon_send(device(nic), messages::acknowledge_atom_v, false);
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  CHECK(dom0_works());
  // The next guest starts with acknowledging on.
  domain = boot("next", {nic});
  CHECK(holder() == "uio_pci_generic");
  CHECK(function(nic).acknowledging);
}

TEST_CASE_FIXTURE(two_cards, "line of its own: no handler, and the switch says why") {
  REQUIRE(hold(nic));
  boot("guest", {nic});
  CHECK(host.xen().facts(nic)->driver == "pci-stub");
  CHECK(function(nic).line == line_decision::unshared);
  const auto refused = ask_device<void>(nic, messages::acknowledge_atom_v, true);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == ENODEV);
  CHECK(refused.error().context.find("not shared with dom0") != std::string::npos);
}

TEST_CASE_FIXTURE(shared_line, "shared line: all its functions are with guests, and nothing is bound to it in dom0") {
  REQUIRE(hold(neighbour));
  start_guest();
  CHECK(function(nic).line == line_decision::given);
  CHECK(holder() == "pci-stub");
  interrupts(1000);
  CHECK(guest->interrupts(gsi) == 1000);
  CHECK(host.xen().line(gsi).delivered == 0);
}

TEST_CASE_FIXTURE(two_cards, "edge-triggered line: not touched, dom0 sharing it or not") {
  auto card = platform::sim::place(*platform::sim::builtin_model("e1000e"), neighbour);
  card.level = false;
  card.irq = 5;
  host.add_function(card);
  card.address = pci::make_sbdf(0, 0, 6, 0);
  host.add_function(card, "e1000e", true);
  REQUIRE(hold(neighbour));
  boot("guest", {neighbour});
  CHECK(function(neighbour).line == line_decision::edge);
  CHECK(host.xen().facts(neighbour)->driver == "pci-stub");
}

TEST_CASE_FIXTURE(two_cards, "no line: nothing is tried") {
  auto card = platform::sim::place(*platform::sim::builtin_model("e1000e"), neighbour);
  card.irq = 0;
  host.add_function(card);
  REQUIRE(hold(neighbour));
  const auto domain = boot("guest", {neighbour});
  CHECK(function(neighbour).line == line_decision::no_line);
  CHECK(host.xen().facts(neighbour)->driver == "pci-stub");
  CHECK(host.xen().holdings(domain).line_pirqs.empty());
  const auto calls = host.xen().hypercalls();
  advance(60s);
  CHECK(host.xen().hypercalls() == calls);
}

TEST_CASE_FIXTURE(acknowledged_line,
                  "shared line: with message interrupts the handler is silent, and INTx comes back") {
  host.xen().raise_intx(nic);                    // masked by the handler, and the daemon has not heard of it yet
  REQUIRE(guest->enable_msi(first_slot).good()); // binds its pirq
  run();
  CHECK(function(nic).line == line_decision::messages);
  CHECK_FALSE(function(nic).acknowledging);
  CHECK(holder() == "uio_pci_generic");
  const auto acknowledged = function(nic).acknowledged;
  for (int i = 0; i < 100; ++i) {
    CHECK(host.xen().raise(nic));
  }
  run();
  CHECK(function(nic).acknowledged == acknowledged);
  host.xen().lower_intx(nic);
  REQUIRE(guest->disable(first_slot).good());
  run();
  CHECK_FALSE(masked());
  CHECK(guest_works());
  CHECK(function(nic).line == line_decision::acknowledge);
}

TEST_CASE_FIXTURE(acknowledged_line, "shared line: a storm is let through with pauses, and is over when it is over") {
  host.xen().raise_intx(nic); // and nobody serves it
  run();
  CHECK(function(nic).storm);
  CHECK(function(nic).storms == 1);
  const auto first = function(nic).acknowledged;
  CHECK(first == 201); // a window of 10 ms of 20,000 a second
  for (int i = 0; i < 12000; ++i) {
    advance(5ms);
  }
  const auto in_a_minute = function(nic).acknowledged - first;
  CHECK(in_a_minute > 50 * 200);
  CHECK(in_a_minute < 80 * 200);
  CHECK(function(nic).storms == 1);
  CHECK(dom0_works());

  host.xen().lower_intx(nic);
  advance(2s);
  interrupts(1000);
  CHECK_FALSE(masked());
  CHECK_FALSE(function(nic).storm);
  CHECK(function(nic).storms == 1);
}

TEST_CASE_FIXTURE(acknowledged_line,
                  "shared line: a guest that does not listen gets no acknowledgement until it does") {
  host.xen().unbind_pirq(domain, gsi);
  interrupts(999);
  CHECK(function(nic).line == line_decision::acknowledge);
  interrupts(1);
  CHECK(function(nic).line == line_decision::guest_absent);
  interrupts(500);
  CHECK(masked());
  CHECK(function(nic).acknowledged <= 1002);
  CHECK(dom0_works());
  CHECK(guest->bind_pirq(gsi));
  advance(1s);
  CHECK(function(nic).line == line_decision::acknowledge);
  CHECK(guest_works());
}

TEST_CASE_FIXTURE(acknowledged_line,
                  "shared line: acknowledging ends with dom0's driver, and begins again with the next") {
  interrupts(5);
  host.pci().bind_driver(neighbour, "", false);
  advance(1s);
  CHECK(function(nic).line == line_decision::given);
  CHECK(holder() == "pci-stub");
  CHECK(masters(nic));
  CHECK(guest_works());
  CHECK_FALSE(acknowledge(true));
  host.pci().bind_driver(neighbour, "e1000e", true);
  advance(20s);
  CHECK(function(nic).line == line_decision::acknowledge);
  CHECK(holder() == "uio_pci_generic");
  CHECK(guest_works());
  CHECK(dom0_works());
}

TEST_CASE_FIXTURE(acknowledged_line, "shared line: a daemon that stops leaves its guest's function working") {
  host.xen().raise_intx(nic); // masked, and not yet acknowledged
  CHECK(noted().holder == platform::holder::uio);
  stop_daemon();
  CHECK(holder() == "pci-stub");
  CHECK(noted().holder == platform::holder::stub);
  CHECK(masters(nic));
  CHECK_FALSE(masked());
}

TEST_CASE_FIXTURE(acknowledged_line, "shared line: so does one whose root nobody knows any more when it stops") {
  host.stop();
  caf::anon_send(root, messages::stop_atom_v);
  root = messages::root_actor{}; // as the runtime does it: from here on only those that root has started know it
  events.set_root(root);
  run();
  CHECK(holder() == "pci-stub");
  CHECK(masters(nic));
  CHECK_FALSE(masked());
}

namespace {

struct noirqdebug_line : shared_line {
  noirqdebug_line() : shared_line(with_policy(line_policy::noirqdebug)) {}
};

} // namespace

TEST_CASE_FIXTURE(noirqdebug_line, "noirqdebug: set while a guest shares a line, and what was there comes back") {
  CHECK(gives_up_lines());
  start_guest();
  CHECK(function(nic).line == line_decision::noirqdebug);
  CHECK(holder() == "pci-stub");
  CHECK_FALSE(gives_up_lines());
  CHECK_FALSE(acknowledge(true));
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  CHECK(gives_up_lines());

  REQUIRE(host.lines().set_gives_up_lines(false));
  domain = boot("next", {nic});
  CHECK_FALSE(gives_up_lines());
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  CHECK_FALSE(gives_up_lines());
}

TEST_CASE_FIXTURE(noirqdebug_line, "noirqdebug: the last of several functions puts it back") {
  auto other = platform::sim::place(*platform::sim::builtin_model("e1000e"), pci::make_sbdf(0, 0, 6, 0));
  other.irq = 23; // the disk's
  host.add_function(other, "e1000e", true);
  REQUIRE(hold(disk));
  start_guest();
  const auto second = boot("second", {disk});
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  CHECK_FALSE(gives_up_lines());
  host.toolstack_destroy(second);
  run();
  check_clean(disk);
  CHECK(gives_up_lines());
}

TEST_CASE_FIXTURE(noirqdebug_line,
                  "noirqdebug: a line whose handlers came before is still in danger, and that is seen") {
  start_guest();
  interrupts(15000);
  CHECK(function(nic).danger == pci::line_danger::near);
  // dom0's driver takes its line again, and now the kernel heeds the parameter.
  host.pci().bind_driver(neighbour, "", false);
  host.pci().bind_driver(neighbour, "e1000e", true);
  interrupts(101000);
  CHECK_FALSE(host.xen().line(gsi).disabled);
  CHECK(dom0_works());
}

namespace {

struct refused_line : shared_line {
  refused_line() : shared_line(with_policy(line_policy::refuse)) {}
};

} // namespace

TEST_CASE_FIXTURE(refused_line, "refuse: no guest gets a function whose line dom0 uses, and is told why") {
  REQUIRE(hold(nic));
  host.create_domain("guest");
  const auto refused = attach("guest", nic);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EBUSY);
  CHECK(refused.error().context.find("line 22, which dom0 uses too (e1000e)") != std::string::npos);
  CHECK(function(nic).state == messages::function_state::held);
  CHECK(function(nic).line == line_decision::refuse);

  domain = boot("second", {nic}); // by a toolstack
  CHECK(function(nic).state == messages::function_state::held);
  CHECK(error_node(domain).find("line = \"refuse\"") != std::string::npos);
}

TEST_CASE_FIXTURE(refused_line, "refuse: a line that dom0 does not use is no reason") {
  REQUIRE(hold(neighbour));
  start_guest();
  CHECK(function(nic).line == line_decision::given);
  CHECK(guest_works());
}

TEST_SUITE_END();
