// Errors of functions: what a guest is asked, how its function comes back, and what happens when it does not recover.
#include <map>

#include "pci/protocol/aer.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::error_policy;
using pci::error_severity;
using pci::op_code;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

constexpr std::int32_t none = 1, can_recover = 2, need_reset = 3, disconnect = 4, recovered = 5, no_aer_driver = 6;
constexpr std::uint32_t detected = 6, resume = 7, mmio = 8, slot_reset = 9;
using answers = std::map<std::uint32_t, std::optional<std::int32_t>>;

actors::settings with_policy(error_policy policy) {
  actors::settings settings;
  settings.devices[nic].policy.aer = policy;
  settings.devices[disk].policy.aer = policy;
  return settings;
}

/// A guest whose driver uses the network card with three vectors, and another guest with the disk.
struct erring : two_cards {
  explicit erring(actors::settings settings = {}) : two_cards(std::move(settings)) {
    REQUIRE(hold(nic));
    REQUIRE(hold(disk));
    domain = boot("guest", {nic});
    guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->connect());
    card.emplace(*guest, first_slot);
    REQUIRE(card->probe(3));
    other_domain = boot("other", {disk});
    other = std::make_unique<frontend>(host, other_domain, *this);
    REQUIRE(other->connect());
  }
  /// What the guest's driver answers to each request; one that is not named is resume's.
  void answer(answers with) {
    guest->handle_aer([this, with = std::move(with)](const pci::wire::aer_operation& request) {
      requests.push_back(request);
      const auto found = with.find(request.cmd);
      return found == with.end() ? std::optional(none) : found->second;
    });
  }
  /// Everything that happens without time passing.
  void settle() {
    for (bool more = true; more;) {
      run();
      more = guest->service();
    }
    run();
  }
  void inject(error_severity severity) {
    host.inject_error(nic, severity);
    settle();
  }
  std::vector<std::uint32_t> asked() const { return guest->aer_requests(); }
  messages::error_account account(const pci::sbdf& address = nic) { return function(address).errors; }
  bool stopped(domain_id which) {
    const auto info = host.xen().domain(which);
    return info && info->shutdown;
  }
  /// The function is as the guest had it, and its interrupts come.
  void check_works() {
    CHECK(guest->read(first_slot, 0, 2).value == guest->functions().front().vendor);
    CHECK(masters(nic));
    CHECK(hardware(nic, 4, 2) == 0x0407); // decoding, mastering, INTx off because of the vectors
    CHECK(hardware(nic, 0x10, 4) == guest->functions().front().bars[0]);
    CHECK(msix_on(nic));
    CHECK_FALSE(host.xen().facts(nic)->poisoned);
    const auto before = card->interrupts();
    for (std::uint16_t entry = 0; entry < 3; ++entry) {
      CHECK(host.xen().raise(nic, entry));
    }
    CHECK(card->interrupts() == before + 3);
    CHECK_FALSE(stopped(domain));
    CHECK((guest->flags() & pci::wire::backend_active) == 0);
    CHECK(backend(domain, "aerState").empty());
  }
  void check_stopped() {
    CHECK(stopped(domain));
    CHECK(backend(domain, "aerState") == "aerfail");
    CHECK(account().failed == 1);
    CHECK(account().recovered == 0);
    CHECK_FALSE(stopped(other_domain));
    CHECK((guest->flags() & pci::wire::backend_active) == 0);
    host.toolstack_destroy(domain); // on_crash="destroy"
    run();
    check_clean(nic);
    check_forgotten(domain);
  }

  std::vector<pci::wire::aer_operation> requests;
  domain_id domain = 0, other_domain = 0;
  std::unique_ptr<frontend> guest, other;
  std::optional<driver> card;
};

struct erring_with_detach : erring {
  erring_with_detach() : erring(with_policy(error_policy::detach)) {}
};
struct erring_with_log : erring {
  erring_with_log() : erring(with_policy(error_policy::log)) {}
};

using asked_steps = std::vector<std::uint32_t>;

} // namespace

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
  CHECK(world.function(nic).detail == "its guest is to recover it from an error");
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

// -- orders of events

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
        world.scheduler.try_run_once();
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
      world.scheduler.try_run_once();
      world.guest->service();
    }
    caf::anon_send(world.root, messages::detach_atom_v, messages::domain_name{std::to_string(world.domain)}, nic);
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
  while (scheduler.try_run_once()) {
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
