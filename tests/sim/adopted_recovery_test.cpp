// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon is replaced while a guest's function recovers from an error.
#include "adopted.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::op_code;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

using driver_answers = std::map<op_code, std::int32_t>;

// A killed daemon writes no more into the page: what runs here until it is taken apart does.
void replace_recovering(adopted& world, bool killed) {
  auto& guest = *world.guest;
  if (killed) {
    const auto request = guest.shared().aer_op;
    const auto flag = guest.flags() & pci::wire::backend_active;
    world.kill();
    guest.shared().aer_op = request;
    guest.set_flags(flag, pci::wire::backend_active & ~flag);
  } else {
    world.stop_daemon();
  }
  world.start();
  world.serve_guests();
}

// Its driver answers so, and the function is in order in the end; the daemon is replaced after so many steps of all
// that runs. False: it was over by then.
bool recover_replaced(adopted& world, pci::error_severity severity, const driver_answers& all, int steps, bool killed) {
  world.start_guest();
  auto& guest = *world.guest;
  guest.set_flags(2);
  guest.handle_aer([&](const pci::wire::aer_operation& request) -> std::optional<std::int32_t> {
    return all.at(static_cast<op_code>(request.cmd));
  });
  if (severity == pci::error_severity::fatal) {
    world.host.pci().reset_bus(nic);
  }
  world.host.inject_error(nic, severity);
  for (; steps != 0 && (world.step() || guest.service()); --steps) {
  }
  const bool over = steps != 0;
  const bool begun = over || world.all->journal->row(nic).recovery_of(world.domain);
  replace_recovering(world, killed);
  if (severity == pci::error_severity::fatal) {
    world.host.end_recovery(nic);
  }
  const auto end = world.host.time().now() + 2s;
  CHECK(world.serve(
      guest, [&] { return world.host.time().now() > end && !world.all->journal->row(nic).recovery_of(world.domain); }));
  std::string wanted, asked;
  for (const auto& [each, answer] : all) {
    wanted += fmt::format("{} ", static_cast<std::uint32_t>(each));
  }
  auto requests = guest.aer_requests(); // each once
  std::ranges::sort(requests);
  for (const auto each : requests) {
    asked += fmt::format("{} ", each);
  }
  CAPTURE(asked);
  // Of an error that it had no time to look at, the next daemon is told only when the kernel has reset the function.
  CHECK((asked == wanted || (asked.empty() && !begun && killed && severity == pci::error_severity::nonfatal)));
  CAPTURE(asked);
  CHECK_FALSE(world.host.xen().domain(world.domain)->shutdown);
  CHECK(world.host.xen().raise(nic, 2));
  world.check_served();
  guest.handle_aer({});
  world.check_end();
  return !over;
}

} // namespace

TEST_CASE_FIXTURE(adopted, "the daemon is replaced at every step of a recovery, which goes on") {
  using pci::error_severity;
  for (const auto severity : {error_severity::nonfatal, error_severity::fatal}) {
    for (const auto& all :
         {driver_answers{{op_code::aer_detected, 3}, {op_code::aer_resume, 5}, {op_code::aer_slotreset, 5}},
          driver_answers{{op_code::aer_detected, 2}, {op_code::aer_resume, 5}, {op_code::aer_mmio, 5}}}) {
      for (const bool killed : {true, false}) {
        int steps = 1;
        for (bool more = true; more; ++steps) {
          CAPTURE(pci::to_string(severity));
          CAPTURE(killed);
          CAPTURE(steps);
          more = recover_replaced(*this, severity, all, steps, killed);
          REQUIRE(steps < 200);
        }
        CHECK(steps > 8);
      }
    }
  }
}

TEST_CASE_FIXTURE(adopted, "a recovery of a frontend that is not there any more is nobody's") {
  start_guest();
  guest->set_flags(2);
  guest->handle_aer([](const pci::wire::aer_operation&) -> std::optional<std::int32_t> { return std::nullopt; });
  host.inject_error(nic, pci::error_severity::nonfatal);
  run();
  kill();
  begin_another_frontend();
  start();
  serve_guests();
  REQUIRE(guest->connect());
  CHECK_FALSE(all->journal->row(nic).recovery_of(domain));
  REQUIRE(driver(*guest, first_slot).probe(3));
  replace();
  CHECK(guest->aer_requests().empty());
  check_served();
  CHECK(host.xen().raise(nic, 2));
  check_end();
}

TEST_CASE_FIXTURE(adopted, "what the last daemon asked of a guest's driver is waited for, and not for ever") {
  start_guest();
  guest->set_flags(2);
  guest->handle_aer([](const pci::wire::aer_operation&) -> std::optional<std::int32_t> { return std::nullopt; });
  host.inject_error(nic, pci::error_severity::nonfatal);
  run();
  REQUIRE((guest->flags() & 4) != 0);
  replace();
  CHECK((guest->flags() & 4) != 0);
  check_served();
  SUBCASE("it answers") {
    guest->shared().aer_op.err = 5;
    guest->set_flags(0, pci::wire::backend_active);
    guest->handle_aer([](const pci::wire::aer_operation&) -> std::optional<std::int32_t> { return 5; });
    guest->kick();
    CHECK(serve(*guest, [&] { return function(nic).errors.recovered == 1; }));
    CHECK_FALSE(host.xen().domain(domain)->shutdown);
  }
  SUBCASE("it does not") {
    advance(40s);
    CHECK((guest->flags() & 4) == 0);
    CHECK(host.xen().domain(domain)->shutdown);
  }
  check_end();
}

TEST_CASE_FIXTURE(adopted,
                  "the next daemon does not touch a function before the kernel has ended its reset of the bus either") {
  start_guest();
  guest->set_flags(2);
  guest->handle_aer([](const pci::wire::aer_operation& request) -> std::optional<std::int32_t> {
    return static_cast<op_code>(request.cmd) == op_code::aer_detected ? 3 : 5;
  });
  host.report_error(nic, pci::error_severity::fatal, "");
  run();
  SUBCASE("the guest has been told") { REQUIRE(guest->service()); }
  SUBCASE("it has answered") {
    REQUIRE(guest->service());
    run();
  }
  replace();
  CHECK(function(nic).state == function_state::leased);
  const auto accesses = host.xen().config_accesses();
  CHECK(guest->read(first_slot, 0x44, 4).error == -5);
  CHECK(guest->write(first_slot, 4, 2, 0).error == -5);
  CHECK(host.xen().config_accesses() == accesses);
  CHECK(guest->timeouts() == 0);
  host.pci().reset_bus(nic);
  host.end_recovery(nic);
  CHECK(serve(*guest, [&] { return function(nic).errors.recovered == 1; }));
  check_served();
  CHECK(host.xen().raise(nic, 2));
  check_end();
}

TEST_CASE_FIXTURE(adopted,
                  "a function that was reset under a frontend that is not there any more is restored for the next") {
  start_guest();
  guest->set_flags(2);
  guest->handle_aer([](const pci::wire::aer_operation&) -> std::optional<std::int32_t> { return std::nullopt; });
  host.report_error(nic, pci::error_severity::fatal, "");
  run();
  kill();
  begin_another_frontend();
  host.pci().reset_bus(nic);
  start();
  serve_guests();
  host.end_recovery(nic);
  advance(2s);
  REQUIRE(guest->connect());
  CHECK_FALSE(all->journal->row(nic).recovery_of(domain));
  REQUIRE(driver(*guest, first_slot).probe(3));
  CHECK(guest->aer_requests().empty());
  check_served();
  CHECK(host.xen().raise(nic, 2));
  check_end();
}
