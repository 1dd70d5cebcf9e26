// SPDX-License-Identifier: GPL-2.0-or-later
// A guest on a line that dom0 shares outlives the daemon that acknowledged for it.
#include "actors/journal/journal.hpp"
#include "counted_records.hpp"
#include "shared_line.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::line_decision;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct restarted_line : shared_line {
  restarted_line() {
    stop_daemon();
    all->journal = std::make_shared<actors::journal>(records);
    start_root();
    start_guest();
    run(); // what it wrote into COMMAND is noted
  }
  /// The kernel closes uio; the daemon says nothing more, to nobody.
  void kill() {
    host.end_daemon();
    records->dead = true;
    host.pci().fail_hold(EIO);
    stop_daemon();
    host.pci().fail_hold(0);
    records->dead = false;
  }
  void start() {
    all->journal = std::make_shared<actors::journal>(records);
    all->functions = std::make_shared<actors::function_registry>();
    start_root();
    CHECK(ask<void>(root, messages::restore_atom_v));
    run();
    REQUIRE(function(nic).state == function_state::inherited);
  }
  void check_end() {
    host.toolstack_destroy(domain);
    run();
    check_clean(nic);
    check_forgotten(domain);
    CHECK(dom0_works());
  }
  std::shared_ptr<counted_records> records = std::make_shared<counted_records>();
};

} // namespace

TEST_CASE_FIXTURE(restarted_line, "a killed daemon costs a guest on an acknowledged line nothing that lasts") {
  const auto resets = host.xen().facts(nic)->resets;
  kill();
  CHECK_FALSE(masters(nic)); // by the kernel, with the descriptor
  host.xen().raise_intx(nic);
  host.xen().lower_intx(nic);
  CHECK(masked()); // by the kernel's handler, and nobody lets the next one through
  start();
  CHECK(masters(nic));
  CHECK_FALSE(masked());
  CHECK(guest_works());
  CHECK(dom0_works());
  const auto seen = function(nic);
  CHECK(seen.line == line_decision::acknowledge);
  CHECK(seen.handler);
  CHECK(seen.acknowledging);
  CHECK(host.xen().facts(nic)->resets == resets);
  interrupts(1000);
  CHECK(function(nic).acknowledged == 1001);
  CHECK_FALSE(host.xen().line(gsi).disabled);
  SUBCASE("its guest ends") { check_end(); }
  SUBCASE("it is drained") {
    REQUIRE(drain(nic));
    check_clean(nic);
    CHECK(dom0_works());
  }
  SUBCASE("the next one is killed too") {
    kill();
    start();
    CHECK(masters(nic));
    CHECK(guest_works());
    check_end();
  }
  SUBCASE("the next one stops in order") {
    stop_daemon();
    CHECK(holder() == "pci-stub");
    CHECK(masters(nic));
    CHECK_FALSE(masked());
    start();
    CHECK(holder() == "uio_pci_generic");
    CHECK(guest_works());
    CHECK(dom0_works());
    check_end();
  }
  SUBCASE("the card goes") {
    host.remove_function(nic);
    run();
    CHECK(function(nic).state == function_state::gone);
  }
}

TEST_CASE_FIXTURE(restarted_line, "a daemon that stopped in order acknowledges again when it starts") {
  stop_daemon();
  CHECK(holder() == "pci-stub");
  start();
  CHECK(holder() == "uio_pci_generic");
  CHECK(function(nic).acknowledging);
  CHECK(guest_works());
  CHECK(dom0_works());
  check_end();
}

TEST_CASE_FIXTURE(restarted_line, "bus mastering is as the guest had it last") {
  REQUIRE(guest->write(first_slot, 4, 2, pci::reg::command_memory).good());
  SUBCASE("off") {
    kill();
    start();
    CHECK_FALSE(masters(nic));
  }
  SUBCASE("and on again") {
    REQUIRE(guest->write(first_slot, 4, 2, pci::reg::command_memory | pci::reg::command_master).good());
    kill();
    start();
    CHECK(masters(nic));
    CHECK(guest_works());
  }
  check_end();
}

TEST_CASE_FIXTURE(restarted_line,
                  "a guest that turns bus mastering over and over writes no record, and the last one counts") {
  const auto before = records->writes;
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(guest->write(first_slot, 4, 2, i % 2 == 0 ? 0x2U : 0x6U).good());
    advance(1ms);
  }
  advance(1s);
  CHECK(records->writes == before);
  kill();
  start();
  CHECK(masters(nic));
  check_end();
}

TEST_CASE_FIXTURE(restarted_line, "acknowledging that was switched off stays so, and can be switched on again") {
  REQUIRE(acknowledge(false));
  kill();
  start();
  CHECK(function(nic).line == line_decision::switched_off);
  CHECK_FALSE(function(nic).acknowledging);
  CHECK(holder() == "pci-stub");
  REQUIRE(acknowledge(true));
  CHECK(holder() == "uio_pci_generic");
  CHECK(function(nic).acknowledging);
  CHECK(guest_works());
  check_end();
}

TEST_CASE_FIXTURE(restarted_line, "a guest with message interrupts gets its bus mastering back too") {
  REQUIRE(guest->enable_msi(first_slot).good());
  kill();
  CHECK_FALSE(host.xen().raise(nic));
  start();
  CHECK(host.xen().raise(nic));
  CHECK(function(nic).line == line_decision::messages);
  check_end();
}

TEST_SUITE_END();
