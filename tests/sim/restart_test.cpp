// SPDX-License-Identifier: GPL-2.0-or-later
// A daemon that starts finds what the one before it had given to guests: it cleans up after the dead and leaves the
// living alone.
#include "restarted.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::op_code;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

TEST_CASE_FIXTURE(restarted, "a guest of an earlier instance is not asked to recover: errors are counted") {
  start_guest();
  kill();
  start();
  REQUIRE(function(nic).state == function_state::inherited);
  for (const auto severity : {pci::error_severity::nonfatal, pci::error_severity::fatal}) {
    host.inject_error(nic, severity);
    run();
    CHECK_FALSE(guest->service());
  }
  CHECK(function(nic).errors.nonfatal == 1);
  CHECK(function(nic).errors.fatal == 1);
  CHECK(function(nic).state == function_state::inherited);
  CHECK(guest->aer_requests().empty());
  CHECK_FALSE(host.xen().domain(domain)->shutdown);
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
}

TEST_CASE_FIXTURE(restarted, "a guest died while there was no daemon") {
  start_guest();
  kill();
  host.toolstack_destroy(domain);
  CHECK(msix_on(nic));
  CHECK(masters(nic));
  start();
  tell_of_backends();
  check_clean(nic);
  check_forgotten(domain);
  CHECK(node("/libxl/pci/0000-00-03-0/domid").empty());
  start_guest();
  CHECK(host.xen().raise(nic, 1));
}

TEST_CASE_FIXTURE(restarted, "a guest that lives keeps what it has, and is shown; when it ends all is taken back") {
  start_guest();
  const auto resets = host.xen().facts(nic)->resets;
  kill();
  start();
  const auto seen = function(nic);
  CHECK(seen.state == function_state::inherited);
  CHECK(seen.domain == domain);
  CHECK(seen.vendor == 0x8086);
  CHECK(seen.mode == pci::interrupt_mode::msix);
  CHECK(seen.vectors.size() == 3);
  CHECK(host.xen().facts(nic)->resets == resets);
  CHECK(holding_pirqs(domain) == 3);
  CHECK(host.xen().raise(nic, 2));
  for (const auto& refused : {release(nic), retry(nic), hold(nic)}) {
    CHECK_FALSE(refused);
  }
  const auto other = host.create_domain("other");
  const auto device = ask<messages::device_actor>(root, messages::find_atom_v, nic).value();
  CHECK(ask<void>(device, messages::grant_atom_v, other).error().error == EBUSY);
  CHECK(ask<messages::lease>(device, messages::lease_atom_v, messages::lease_request{other, false, {}, {}})
            .error()
            .error == EBUSY);
  CHECK(host.xen().raise(nic, 0));
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  check_forgotten(domain);
  CHECK(host.xen().facts(nic)->resets == resets + 1);
}

TEST_CASE_FIXTURE(restarted, "a daemon that stops in order and starts twice leaves the guest alone each time") {
  start_guest();
  for (int i = 0; i < 2; ++i) {
    stop_daemon();
    start();
    CHECK(function(nic).state == function_state::inherited);
    CHECK(host.xen().raise(nic, 0));
  }
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
}

TEST_CASE_FIXTURE(restarted,
                  "a line that two functions of an earlier daemon's guest share stays until the last is taken") {
  const auto twin = pci::make_sbdf(0, 0, 5, 0);
  host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), twin), "e1000e");
  REQUIRE(hold(twin));
  domain = host.create_domain("guest");
  REQUIRE(ask<void>(device(nic), messages::grant_atom_v, domain));
  REQUIRE(ask<void>(device(twin), messages::grant_atom_v, domain));
  for (const auto& each : {nic, twin}) { // one that was granted and of which no node tells would be taken back
    REQUIRE(
        host.xenstore().write(fmt::format("/libxl/pci/{}/domid", pci::to_libxl_string(each)), std::to_string(domain)));
  }
  const auto line = host.xen().holdings(domain).line_pirqs;
  REQUIRE(line.size() == 1);
  kill();
  start();
  REQUIRE(ask<void>(device(nic), messages::revoke_atom_v, domain));
  REQUIRE(function(twin).state == function_state::inherited);
  CHECK(host.xen().holdings(domain).line_pirqs == line);
  REQUIRE(ask<void>(device(twin), messages::revoke_atom_v, domain));
  CHECK(host.xen().holdings(domain) == platform::sim::domain_holdings{});
}

TEST_CASE_FIXTURE(restarted, "a function is drained from the guest of an earlier daemon") {
  start_guest();
  kill();
  start();
  guest->withhold(true);
  CHECK(drain(nic));
  check_clean(nic);
  CHECK(holding_pirqs(domain) == 0);
}

TEST_CASE_FIXTURE(restarted, "a function that nobody had is held again, as it was when it was first held") {
  const auto latency = hardware(nic, 0x0c, 1);
  kill();
  REQUIRE(host.xen().config_write(nic, 0, 0x0c, 1, latency + 8));
  start();
  check_clean(nic);
  CHECK(hardware(nic, 0x0c, 1) == latency);
  CHECK(record().previous_driver == "e1000e");
  REQUIRE(release(nic));
  CHECK(records->names().value().empty());
  kill();
  start();
  CHECK(status().functions.empty());
}

TEST_CASE_FIXTURE(restarted, "what was recorded is of no use for another card, a card that dom0 has, and none") {
  kill();
  SUBCASE("another card") {
    host.remove_function(nic);
    host.add_function(platform::sim::place(*platform::sim::builtin_model("nvme"), nic), "");
    start();
    check_clean(nic);
    CHECK(function(nic).vendor == 0x1b36);
    CHECK(record().function.vendor == 0x1b36);
  }
  SUBCASE("dom0 has it") {
    host.pci().bind_driver(nic, "e1000e", false);
    start();
    CHECK(status().functions.empty());
    CHECK(host.xen().facts(nic)->driver == "e1000e");
    CHECK(records->names().value().empty());
  }
  SUBCASE("none") {
    host.remove_function(nic);
    start();
    CHECK(status().functions.empty());
    CHECK(records->names().value().empty());
  }
  SUBCASE("the record is damaged") {
    REQUIRE(records->write(pci::to_string(nic), "{\"version\":1,"));
    start();
    CHECK(status().functions.empty());
    CHECK(hold(nic));
  }
}

TEST_CASE_FIXTURE(restarted, "each fact is recorded before it is relied on") {
  CHECK_FALSE(record().domain);
  CHECK(record().mode == pci::interrupt_mode::intx);
  start_guest();
  CHECK(record().domain == domain);
  CHECK_FALSE(record().granted); // xl did it
  CHECK(record().mode == pci::interrupt_mode::msix);
  CHECK(record().vectors.size() == 3);
  CHECK((record().command & pci::reg::command_memory) != 0);
  REQUIRE(guest->disable(first_slot).good());
  CHECK(record().vectors.empty());
  const auto msi = guest->enable_msi(first_slot);
  REQUIRE(msi.good());
  CHECK(record().mode == pci::interrupt_mode::msi);
  CHECK(record().vectors == std::vector<pci::bound_vector>{{0, static_cast<std::uint16_t>(msi.value)}});
  host.toolstack_destroy(domain);
  run();
  CHECK_FALSE(record().domain);
  CHECK(record().vectors.empty());
}

TEST_CASE_FIXTURE(restarted, "what changes no interrupts writes nothing, and a full disk costs no guest anything") {
  start_guest();
  REQUIRE(guest->write(first_slot, 4, 2, 0x0406).good());
  advance(1s);
  const auto before = records->writes;
  for (int i = 0; i < 50; ++i) {
    CHECK(guest->read(first_slot, 0, 4).good());
    CHECK(guest->write(first_slot, 4, 2, 0x0406).good());
  }
  auto unknown = guest->make(pci::op_code::conf_read, first_slot);
  unknown.cmd = 11;
  CHECK_FALSE(guest->perform(unknown).good());
  CHECK(records->writes == before);
  CHECK(guest->disable(first_slot).good());
  advance(1s);
  const auto off = records->writes;
  CHECK(off - before <= 2); // its interrupts, and COMMAND, where Linux switches INTx
  for (int i = 0; i < 3; ++i) {
    CHECK(guest->perform(guest->make(pci::op_code::disable_msix, first_slot)).good());
    CHECK(records->writes == off); // nothing was on any more
  }
  CHECK(guest->enable_msix(first_slot, {0, 1}).good());
  advance(1s);
  CHECK(records->writes - off <= 2);
  records->failing = true;
  CHECK(guest->disable(first_slot).good());
  CHECK(guest->enable_msix(first_slot, {0, 1}).good());
  records->failing = false;
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
}

TEST_CASE_FIXTURE(restarted, "no guest gets a function while the journal cannot be written") {
  REQUIRE(hold(disk));
  domain = host.create_domain("guest");
  const auto resets = host.xen().facts(nic)->resets;
  records->failing = true;
  const auto refused = attach("guest", nic);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == ENOSPC);
  CHECK(refused.error().context.find("the journal cannot be written") != std::string::npos);
  CHECK(function(nic).state == function_state::held);
  CHECK_FALSE(function(nic).domain);
  CHECK(host.xen().holdings(domain) == platform::sim::domain_holdings{});
  const auto by_xl = boot("second", {disk});
  CHECK(error_node(by_xl).find("the journal cannot be written") != std::string::npos);
  CHECK(function(disk).state == function_state::held);
  CHECK(host.xen().facts(nic)->resets == resets);
  host.toolstack_destroy(by_xl);
  run();
  SUBCASE("until it can be") {
    records->failing = false;
    CHECK(attach("guest", nic));
    CHECK(record().domain == domain);
  }
  SUBCASE("and what could not be written is written by itself when it can be") {
    records->failing = false;
    advance(6s);
    CHECK_FALSE(records->doubted(pci::to_string(nic)));
    CHECK_FALSE(records->doubted(pci::to_string(disk)));
  }
  SUBCASE("and the next daemon holds it again, for Xen says that nobody has it") {
    kill();
    start();
    records->failing = false;
    check_clean(nic);
    check_clean(disk);
  }
}

TEST_CASE_FIXTURE(restarted, "a journal that does not know of a living guest costs it nothing") {
  records->lost.insert(pci::to_string(nic));
  SUBCASE("its record says that nobody has the function") {}
  SUBCASE("its record says that another living guest has it") {
    auto wrong = record();
    wrong.domain = host.create_domain("other");
    wrong.mode = pci::interrupt_mode::msix;
    wrong.vectors = {{0, 55}, {1, 54}, {2, 53}};
    REQUIRE(records->inside().write(pci::to_string(nic), to_text(wrong)));
  }
  SUBCASE("there is no record, and the settings want the function held") {
    REQUIRE(records->inside().remove(pci::to_string(nic)));
  }
  start_guest();
  const auto resets = host.xen().facts(nic)->resets;
  kill();
  start();
  const bool known = !records->names().value().empty();
  if (!known) {
    const auto refused = hold(nic);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().error == EBUSY);
  }
  CHECK(function(nic).state == function_state::inherited);
  CHECK(function(nic).domain == domain);
  CHECK(host.xen().facts(nic)->resets == resets);
  CHECK(host.guards().state(nic) == pci::guard_state::armed);
  CHECK(holding_pirqs(domain) == 3);
  for (unsigned i = 0; i < 3; ++i) {
    CHECK(host.xen().raise(nic, static_cast<std::uint16_t>(i)));
  }
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  check_forgotten(domain);
}

TEST_CASE_FIXTURE(restarted, "a function that Xen says is a guest's is left alone, also when nobody can say whose") {
  records->lost.insert(pci::to_string(nic));
  start_guest();
  const auto resets = host.xen().facts(nic)->resets;
  kill();
  REQUIRE(host.xenstore().remove(platform::sim::backend_path(domain)));
  REQUIRE(host.xenstore().remove("/libxl/pci/0000-00-03-0/domid"));
  start();
  CHECK(function(nic).state == function_state::inherited);
  CHECK_FALSE(function(nic).domain);
  CHECK_FALSE(retry(nic));
  CHECK_FALSE(release(nic));
  CHECK(drain(nic).error().error == EBUSY);
  tell_of_backends();
  CHECK(function(nic).state == function_state::inherited);
  CHECK(host.xen().facts(nic)->resets == resets);
  CHECK(host.xen().raise(nic, 0));
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
}

TEST_CASE_FIXTURE(restarted, "a pirq that is another function's by now is not unmapped for the one that had it") {
  REQUIRE(hold(disk));
  domain = boot("guest", {nic, disk});
  guest = std::make_unique<frontend>(host, domain, *this);
  REQUIRE(guest->connect());
  REQUIRE(driver(*guest, first_slot).probe(3));
  const auto numbers = function(nic).vectors;
  REQUIRE(numbers.size() == 3);
  SUBCASE("the daemon is killed before it notes that they are unmapped") { records->lost.insert(pci::to_string(nic)); }
  SUBCASE("the journal cannot be written") { records->failing = true; }
  REQUIRE(guest->disable(first_slot).good());
  REQUIRE(guest->write(second_slot, 4, 2, pci::reg::command_memory | pci::reg::command_master).good());
  const auto enabled = guest->enable_msix(second_slot, {0, 1});
  REQUIRE(enabled.good());
  CHECK(function(disk).vectors.front().pirq == numbers.front().pirq);
  kill();
  records->failing = false;
  start();
  CHECK(function(disk).state == function_state::inherited);
  guest->withhold(true);
  CHECK(drain(nic));
  check_clean(nic);
  CHECK(holding_pirqs(domain) == 2);
  CHECK(host.xen().raise(disk, 0));
  CHECK(host.xen().raise(disk, 1));
  host.toolstack_destroy(domain);
  run();
  check_clean(disk);
  check_forgotten(domain);
}

TEST_CASE_FIXTURE(restarted, "a function that has vanished, and nobody has told, is released and forgotten") {
  SUBCASE("held") {}
  SUBCASE("failed") {
    start_guest();
    host.xen().fail_call("deassign_device", EIO);
    host.toolstack_destroy(domain);
    REQUIRE(wait_until([&] { return function(nic).state == function_state::failed; }, std::chrono::seconds(10)));
    host.xen().fail_call("", 0);
  }
  REQUIRE(host.xen().remove_function(nic)); // without a word to the daemon
  CHECK(release(nic));
  CHECK(status().functions.empty());
  CHECK(records->names().value().empty());
}

TEST_CASE_FIXTURE(restarted,
                  "what cannot be taken from a dead guest of an earlier daemon stays out of dom0's hands until "
                  "the administrator releases it") {
  start_guest();
  kill();
  start();
  host.pci().fail_describe(EIO);
  host.toolstack_destroy(domain);
  run();
  CHECK(function(nic).state == function_state::failed);
  CHECK(host.xen().facts(nic)->driver != "e1000e");
  CHECK_FALSE(retry(nic));
  SUBCASE("released") {
    CHECK(release(nic));
    CHECK(host.xen().facts(nic)->driver == "e1000e");
    CHECK(status().functions.empty());
    CHECK(records->names().value().empty());
  }
  SUBCASE("mended") {
    host.pci().fail_describe(0);
    CHECK(retry(nic));
    check_clean(nic);
  }
  SUBCASE("pulled out") {
    host.remove_function(nic);
    run();
    CHECK(function(nic).state == function_state::gone);
    CHECK(release(nic));
    CHECK(status().functions.empty());
    CHECK(records->names().value().empty());
  }
}

TEST_CASE_FIXTURE(restarted, "what cannot be taken from a living guest of an earlier daemon is not released") {
  start_guest();
  kill();
  start();
  host.pci().fail_describe(EIO);
  const auto device = ask<messages::device_actor>(root, messages::find_atom_v, nic).value();
  CHECK_FALSE(ask<void>(device, messages::revoke_atom_v, domain));
  CHECK(function(nic).state == function_state::failed);
  const auto refused = release(nic);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EBUSY);
  CHECK(refused.error().context.find("pcibackctl retry 0000:00:03.0") != std::string::npos);
  CHECK(host.xen().facts(nic)->driver != "e1000e");
  CHECK(host.xen().raise(nic, 0));
  host.pci().fail_describe(0);
  CHECK(retry(nic));
  check_clean(nic);
}

TEST_CASE_FIXTURE(restarted,
                  "a daemon that starts and cannot take a dead guest's function leaves it out of dom0's hands") {
  start_guest();
  kill();
  host.toolstack_destroy(domain);
  host.pci().fail_describe(EIO);
  start();
  CHECK(host.xen().facts(nic)->driver != "e1000e");
  host.pci().fail_describe(0);
  CHECK(hold(nic));
  check_clean(nic);
}

TEST_CASE_FIXTURE(two_cards, "a function that cannot be described goes back to its driver") {
  host.pci().fail_describe(EIO);
  CHECK_FALSE(hold(nic));
  CHECK(host.xen().facts(nic)->driver == "e1000e");
  CHECK(host.pci().previous_driver(nic).empty());
}

TEST_CASE_FIXTURE(restarted, "the daemon is killed, and the guest destroyed, at every step of an attach") {
  for (int steps = 0; steps < 40; ++steps) {
    CAPTURE(steps);
    domain = host.create_domain("short");
    caf::anon_send(root, messages::attach_atom_v, domain, nic);
    for (int i = 0; i < steps; ++i) {
      step();
    }
    kill();
    host.toolstack_destroy(domain);
    start();
    tell_of_backends();
    check_clean(nic);
    check_forgotten(domain);
    CHECK(node("/libxl/pci/0000-00-03-0/domid").empty());
  }
}

TEST_CASE_FIXTURE(restarted, "the daemon is killed at every step of a scrub") {
  for (int steps = 0; steps < 16; ++steps) {
    CAPTURE(steps);
    start_guest();
    host.toolstack_destroy(domain);
    guest.reset();
    for (int i = 0; i < steps; ++i) {
      step();
    }
    kill();
    start();
    tell_of_backends();
    check_clean(nic);
    check_forgotten(domain);
  }
}

TEST_SUITE_END();
