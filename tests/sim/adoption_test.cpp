// SPDX-License-Identifier: GPL-2.0-or-later
// A guest that runs notices nothing when its daemon is killed and another is started.
#include "logged_text.hpp"
#include "restarted.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::op_code;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

// Everything that xenstore says of a guest's bus.
std::map<std::string, std::string> nodes_below(platform::store& store, const std::string& path) {
  std::map<std::string, std::string> found{{path, store.read(path).value_or("")}};
  for (const auto& name : store.list(path).value_or(std::vector<std::string>{})) {
    found.merge(nodes_below(store, path + "/" + name));
  }
  return found;
}

struct adopted : restarted {
  auto nodes() {
    auto all = nodes_below(host.xenstore(), platform::sim::backend_path(domain));
    all.merge(nodes_below(host.xenstore(), fmt::format("/local/domain/{}/device/pci", domain)));
    return all;
  }
  /// It is served, and all its function can do it can.
  void check_served() {
    CHECK(function(nic).state == function_state::leased);
    CHECK(function(nic).domain == domain);
    CHECK(guest_status(domain).connected);
    CHECK(guest->read(first_slot, 0, 4).value == 0x10d38086);
    CHECK(guest->timeouts() == 0);
  }
  /// In place of the one that is there, of whose function's interrupts none is open any more.
  void begin_another_frontend() {
    for (const auto pirq : guest->pirqs(first_slot)) {
      guest->unbind_pirq(pirq);
    }
    guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->start());
  }
  void check_end() {
    host.toolstack_destroy(domain);
    guest.reset();
    run();
    check_clean(nic);
    check_forgotten(domain);
  }
};

// Waits as the fixture does, and has the daemon replaced after so many of its steps.
struct replacing final : platform::sim::waiter {
  replacing(restarted& where, int steps) : world(where), left(steps) {}
  bool wait_until(const std::function<bool()>& condition, std::chrono::nanoseconds limit) override {
    for (; left > 0; --left) {
      if (condition()) {
        return true;
      }
      if (!world.step()) {
        break;
      }
    }
    if (left == 0) {
      left = -1;
      world.replace();
    }
    return world.wait_until(condition, limit);
  }
  restarted& world;
  int left;
};

} // namespace

TEST_CASE_FIXTURE(adopted, "a guest is served again, sees what it saw, and keeps its interrupts") {
  start_guest();
  const auto resets = host.xen().facts(nic)->resets;
  const auto before = nodes();
  const auto pirqs = guest->pirqs(first_slot);
  for (int i = 0; i < 3; ++i) {
    kill();
    host.xen().raise(nic, 1); // nobody is needed for it
    start();
    serve_guests();
    check_served();
    CHECK(nodes() == before);
    CHECK(guest->pirqs(first_slot) == pirqs);
    CHECK(function(nic).vectors.size() == 3);
    CHECK(function(nic).mode == pci::interrupt_mode::msix);
    CHECK(function(nic).virtual_address == first_slot);
    CHECK(host.xen().facts(nic)->resets == resets);
    for (std::uint16_t vector = 0; vector < 3; ++vector) {
      CHECK(host.xen().raise(nic, vector));
    }
  }
  CHECK(guest->interrupts(pirqs[1]) == 6);
  REQUIRE(guest->disable(first_slot).good());
  CHECK(holding_pirqs(domain) == 0);
  REQUIRE(driver(*guest, first_slot).probe(2));
  CHECK(holding_pirqs(domain) == 2);
  CHECK(host.xen().raise(nic, 1));
  check_end();
}

TEST_CASE_FIXTURE(adopted,
                  "a guest that was served before it was told of keeps its one actor, and is plugged as before") {
  start_guest();
  kill();
  start_as_runtime();
  check_served();
  for (int i = 0; i < 2; ++i) {
    const logged_text log;
    caf::anon_send(root, messages::detach_atom_v, domain, nic);
    REQUIRE(serve(*guest, [&] { return guest->unplugged(); }));
    REQUIRE(serve(*guest, [&] { return function(nic).state == function_state::held; }));
    caf::anon_send(root, messages::attach_atom_v, domain, nic);
    REQUIRE(serve(*guest, [&] { return function(nic).state == function_state::leased; }));
    REQUIRE(guest->connect());
    REQUIRE(driver(*guest, first_slot).probe(3));
    check_served();
    CHECK(log.count("is no longer served") == 1);
  }
  check_end();
}

TEST_CASE_FIXTURE(adopted, "a daemon that stops in order hands its guests on as well") {
  start_guest();
  stop_daemon();
  CHECK(host.grant_table().mapped(domain) == 0);
  start();
  serve_guests();
  check_served();
  check_end();
}

TEST_CASE_FIXTURE(adopted, "what a guest asked for while there was no daemon is answered by the next, once") {
  start_guest();
  pci::wire::operation what;
  SUBCASE("a read") {
    what = guest->make(op_code::conf_read, first_slot);
    what.offset = 0;
    what.size = 4;
    kill();
    guest->post(what);
    guest->kick();
    start();
    serve_guests();
    CHECK((guest->flags() & 1) == 0);
    CHECK(guest->shared().op.err == 0);
    CHECK(guest->shared().op.value == 0x10d38086);
  }
  SUBCASE("a write, without its event") {
    what = guest->make(op_code::conf_write, first_slot);
    what.offset = 4;
    what.size = 2;
    what.value = 0x0402;
    kill();
    guest->post(what);
    start();
    serve_guests();
    CHECK((guest->flags() & 1) == 0);
    CHECK_FALSE(masters(nic));
  }
  SUBCASE("the end of its interrupts") {
    kill();
    for (const auto pirq : guest->pirqs(first_slot)) {
      guest->unbind_pirq(pirq);
    }
    guest->post(guest->make(op_code::disable_msix, first_slot));
    start();
    serve_guests();
    CHECK((guest->flags() & 1) == 0);
    CHECK(holding_pirqs(domain) == 0);
    CHECK_FALSE(msix_on(nic));
  }
  CHECK(guest_status(domain).operations == 1);
  check_end();
}

TEST_CASE_FIXTURE(adopted, "COMMAND and the size of a BAR are the guest's after an adoption") {
  start_guest();
  const auto command = guest->read(first_slot, 4, 2).value;
  const auto bar = guest->read(first_slot, 0x10, 4).value;
  replace();
  CHECK(guest->read(first_slot, 4, 2).value == command);
  CHECK(guest->read(first_slot, 0x10, 4).value == bar);
  REQUIRE(guest->write(first_slot, 4, 2, command ^ pci::reg::command_master).good());
  replace(); // at once
  CHECK(guest->read(first_slot, 4, 2).value == (command ^ pci::reg::command_master));
  REQUIRE(guest->write(first_slot, 4, 2, command).good());
  REQUIRE(guest->write(first_slot, 0x10, 4, 0xffffffff).good());
  replace(); // in the middle of it
  CHECK(guest->read(first_slot, 0x10, 4).value == 0xfffe0000);
  replace();
  REQUIRE(guest->write(first_slot, 0x10, 4, bar).good());
  replace();
  CHECK(guest->read(first_slot, 0x10, 4).value == bar);
  CHECK(guest->read(first_slot, 4, 2).value == command);
  check_end();
}

TEST_CASE_FIXTURE(adopted, "after an adoption a guest is plugged, unplugged, recovers and reboots as before") {
  start_guest();
  REQUIRE(hold(disk));
  replace();
  check_served();
  SUBCASE("another function comes and goes") {
    caf::anon_send(root, messages::attach_atom_v, domain, disk);
    REQUIRE(serve(*guest, [&] { return function(disk).virtual_address.has_value() && guest->state() == 4; }));
    CHECK(guest->read(second_slot, 0, 4).good());
    replace();
    check_served();
    CHECK(guest->read(second_slot, 0, 4).good());
    caf::anon_send(root, messages::detach_atom_v, domain, disk);
    REQUIRE(serve(*guest, [&] { return function(disk).state == function_state::held; }));
    CHECK_FALSE(guest->read(second_slot, 0, 4).good());
  }
  SUBCASE("an error") {
    guest->set_flags(2); // it says that it can
    guest->handle_aer([](const pci::wire::aer_operation& request) -> std::optional<std::int32_t> {
      return request.cmd == static_cast<std::uint32_t>(op_code::aer_detected) ? 2 : 5; // can recover, recovered
    });
    host.inject_error(nic, pci::error_severity::nonfatal);
    CHECK(serve(*guest, [&] { return function(nic).errors.recovered == 1; }));
    CHECK_FALSE(host.xen().domain(domain)->shutdown);
  }
  SUBCASE("its driver is loaded again") {
    REQUIRE(guest->reconnect());
    REQUIRE(driver(*guest, first_slot).probe(3));
    CHECK(host.xen().raise(nic, 2));
  }
  SUBCASE("it is drained") {
    caf::anon_send(root, messages::drain_atom_v, domain);
    REQUIRE(serve(*guest, [&] { return function(nic).state == function_state::held; }));
    check_clean(nic);
  }
  check_end();
  check_clean(disk);
}

TEST_CASE_FIXTURE(
    adopted, "a frontend that has begun anew while there was no daemon is connected, without the old one's things") {
  start_guest();
  kill();
  begin_another_frontend();
  start();
  serve_guests();
  CHECK(holding_pirqs(domain) == 0);
  CHECK_FALSE(masters(nic));
  REQUIRE(guest->connect());
  REQUIRE(driver(*guest, first_slot).probe(3));
  check_served();
  check_end();
}

TEST_CASE_FIXTURE(adopted,
                  "a frontend that has closed while there was no daemon finds its functions when it comes back") {
  start_guest();
  kill();
  guest->unload();
  start();
  serve_guests();
  advance(5s);
  REQUIRE(guest->connect());
  REQUIRE(driver(*guest, first_slot).probe(3));
  check_served();
  check_end();
}

TEST_CASE_FIXTURE(adopted, "a guest that cannot be connected to again is told that its bus is gone") {
  start_guest();
  kill();
  REQUIRE(guest->write_node("event-channel", "4000"));
  start();
  serve_guests();
  CHECK(backend(domain, "state") == "5");
  check_end();
}

TEST_CASE_FIXTURE(adopted, "the daemon is replaced at every step of a guest's start") {
  for (int steps = 1;; ++steps) {
    CAPTURE(steps);
    replacing wait(*this, steps);
    domain = boot("guest", {nic});
    guest = std::make_unique<frontend>(host, domain, wait);
    REQUIRE(guest->connect());
    REQUIRE(driver(*guest, first_slot).probe(3));
    const bool late = wait.left > 0;
    CHECK(guest->timeouts() == 0);
    check_served();
    CHECK(host.xen().raise(nic, 2));
    CHECK(holding_pirqs(domain) == 3);
    check_end();
    if (late) {
      break;
    }
    REQUIRE(steps < 2000);
  }
}

TEST_CASE_FIXTURE(adopted, "the daemon is replaced at every step of switching interrupts") {
  for (int steps = 1;; ++steps) {
    CAPTURE(steps);
    replacing wait(*this, -1);
    domain = boot("guest", {nic});
    guest = std::make_unique<frontend>(host, domain, wait);
    REQUIRE(guest->connect());
    REQUIRE(driver(*guest, first_slot).probe(3));
    wait.left = steps;
    REQUIRE(guest->disable(first_slot).good());
    REQUIRE(guest->enable_msi(first_slot).good());
    REQUIRE(guest->disable(first_slot).good());
    REQUIRE(guest->enable_msix(first_slot, {0, 1}).good());
    const bool late = wait.left > 0;
    check_served();
    CHECK(holding_pirqs(domain) == 2);
    CHECK(host.xen().raise(nic, 1));
    check_end();
    if (late) {
      break;
    }
    REQUIRE(steps < 2000);
  }
}

TEST_CASE_FIXTURE(adopted, "the function's removal would still wait for an adopted guest") {
  start_guest();
  kill();
  start();
  CHECK(function(nic).state == function_state::inherited);
  serve_guests();
  check_served();
  CHECK(function(nic).guard == pci::guard_state::armed);
  check_end();
}

namespace {

using answers = std::map<op_code, std::int32_t>;

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
bool recover_replaced(adopted& world, pci::error_severity severity, const answers& all, int steps, bool killed) {
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
    for (const auto& all : {answers{{op_code::aer_detected, 3}, {op_code::aer_resume, 5}, {op_code::aer_slotreset, 5}},
                            answers{{op_code::aer_detected, 2}, {op_code::aer_resume, 5}, {op_code::aer_mmio, 5}}}) {
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
