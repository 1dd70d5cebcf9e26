// SPDX-License-Identifier: GPL-2.0-or-later
// HVM guests: their device model uses the function, in dom0 or in a stub domain, and maps its vectors itself.
#include <cerrno>

#include "platform/sim/emulator.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::error_severity;
using platform::sim::domain_kind;
using platform::sim::driver;
using platform::sim::emulator;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct hvm_host : two_cards {
  explicit hvm_host(actors::settings settings = {}) : two_cards(std::move(settings)) { REQUIRE(hold(nic)); }

  domain_id create(const std::string& name, domain_kind kind, std::optional<domain_id> target = {}) {
    platform::sim::domain_options options;
    options.name = name;
    options.kind = kind;
    options.target = target;
    return host.create_domain(options);
  }
  /// Waits for the device model's vectors, quietly, and is nobody's.
  void check_waits(const std::string& whom) {
    advance(20s);
    const auto seen = function(nic);
    CHECK(seen.state == function_state::scrubbing);
    CHECK(seen.detail.find(whom) != std::string::npos);
    CHECK_FALSE(masters(nic));
    CHECK_FALSE(msix_on(nic));
    CHECK_FALSE(msi_on(nic));
  }
  void next_guest_works() {
    check_clean(nic);
    const auto next = boot("next", {nic});
    frontend second(host, next, *this);
    REQUIRE(second.connect());
    driver card(second, first_slot);
    REQUIRE(card.probe(3));
    CHECK(host.xen().raise(nic, 2));
    CHECK(card.interrupts() == 1);
    host.toolstack_destroy(next);
    run();
    check_clean(nic);
  }
  /// Nothing was done for the guest: no grant, no nodes.
  void check_untouched(domain_id domain) {
    check_clean(nic);
    CHECK(host.xen().holdings(domain) == platform::sim::domain_holdings{});
    CHECK_FALSE(backend_exists(domain));
  }
};

/// An HVM guest has the network card; its device model runs in dom0.
struct hvm_guest : hvm_host {
  explicit hvm_guest(actors::settings settings = {}) : hvm_host(std::move(settings)) {
    web = create("web", domain_kind::hvm);
    qemu = std::make_unique<emulator>(host, web);
    REQUIRE(host.toolstack_attach_hvm(web, nic));
    run();
    REQUIRE(function(nic).state == function_state::leased);
  }
  domain_id web = 0;
  std::unique_ptr<emulator> qemu;
};

/// The same in a stub domain.
struct stub_domain : hvm_host {
  stub_domain() {
    web = create("web", domain_kind::hvm);
    stub = create("web-dm", domain_kind::pv, web);
    REQUIRE(host.toolstack_attach_stub(stub, web, nic));
    run();
    front = std::make_unique<frontend>(host, stub, *this);
    REQUIRE(front->connect());
    REQUIRE(host.toolstack_attach_target(web, nic));
    qemu = std::make_unique<emulator>(host, web, front.get());
  }
  void start(unsigned vectors) {
    pci::policy_change change;
    change.interrupt_control = true;
    REQUIRE(ask_device<void>(nic, messages::policy_atom_v, change));
    const auto started = qemu->start(nic, vectors, first_slot);
    REQUIRE(started);
    REQUIRE(masters(nic));
  }
  domain_id web = 0, stub = 0;
  std::unique_ptr<frontend> front;
  std::unique_ptr<emulator> qemu;
};

struct web_is_assigned : hvm_host {
  web_is_assigned() : hvm_host(assigned()) {}
  static actors::settings assigned() {
    actors::settings settings;
    settings.assignments.push_back({"web", {nic}});
    return settings;
  }
};

struct on_error : hvm_guest {
  explicit on_error(pci::error_policy policy = pci::error_policy::kill) : hvm_guest(with(policy)) {
    REQUIRE(qemu->start(nic, 3));
    before = *host.xen().facts(nic);
  }
  static actors::settings with(pci::error_policy policy) {
    actors::settings settings;
    settings.own(nic).policy.aer = policy;
    return settings;
  }
  platform::sim::function_facts before;
};

bool names(const pci::result<void>& refused, const std::string& words) {
  return !refused && refused.error().context.find(words) != std::string::npos;
}

} // namespace

// -- the scrub waits

TEST_CASE_FIXTURE(hvm_guest,
                  "an HVM guest's nodes go while its device model has vectors: clean when the guest has ended") {
  for (const unsigned vectors : {3U, 0U}) {
    CAPTURE(vectors);
    if (vectors == 0) { // again, with MSI
      web = create("web", domain_kind::hvm);
      qemu = std::make_unique<emulator>(host, web);
      REQUIRE(host.toolstack_attach_hvm(web, nic));
      run();
    }
    REQUIRE(qemu->start(nic, vectors));
    REQUIRE(host.toolstack_detach_hvm(web, nic)); // as `xl destroy` begins
    run();
    check_waits("web (");
    CHECK(function(nic).detail.find("vectors") != std::string::npos);
    host.toolstack_destroy(web);
    run();
    check_clean(nic);
    check_forgotten(web);
    next_guest_works();
  }
}

TEST_CASE_FIXTURE(hvm_guest, "an HVM guest that lives lets go of a function") {
  REQUIRE(qemu->start(nic, 3));
  qemu->let_go(nic);
  REQUIRE(host.toolstack_detach_hvm(web, nic));
  run();
  next_guest_works();
  CHECK(host.xen().domain(web));
}

TEST_CASE_FIXTURE(hvm_guest, "its device model lets go some time after its nodes went") {
  for (const unsigned vectors : {3U, 0U}) {
    CAPTURE(vectors);
    if (vectors == 0) {
      REQUIRE(host.toolstack_attach_hvm(web, nic));
      run();
    }
    REQUIRE(qemu->start(nic, vectors));
    REQUIRE(host.toolstack_detach_hvm(web, nic));
    run();
    check_waits("web (");
    // Who waits meanwhile is not given it, and not refused.
    CHECK(names(release(nic), "vectors"));
    qemu->let_go(nic);
    check_clean(nic);
  }
  next_guest_works();
}

TEST_CASE_FIXTURE(hvm_guest,
                  "XSA-395: a function waits too while Xen does not say whether its device model has vectors") {
  REQUIRE(qemu->start(nic, 3));
  host.xen().fail_call("restore_msi", EIO);
  REQUIRE(host.toolstack_detach_hvm(web, nic));
  run();
  check_waits("web (");
  CHECK(function(nic).detail.find("cannot tell whether") != std::string::npos);
  host.xen().fail_call("", 0);
  check_waits("web (");
  qemu->let_go(nic);
  next_guest_works();
}

TEST_CASE_FIXTURE(hvm_guest, "an HVM guest is destroyed with its functions") {
  REQUIRE(qemu->start(nic, 3));
  // Somebody maps its memory for a while: Xen keeps the dead domain, and its pirqs.
  host.grant_table().kill_domain(web);
  host.xen().kill(web);
  host.store_daemon().release_domain(web);
  host.store_daemon().fire_special("@releaseDomain");
  run();
  check_waits("web (");
  CHECK(function(nic).detail.find("ending") != std::string::npos);
  host.toolstack_destroy(web);
  next_guest_works();
}

TEST_CASE_FIXTURE(stub_domain, "a stub domain's function is shown with its target, and clean when both have ended") {
  start(3);
  const auto seen = function(nic);
  CHECK(seen.state == function_state::leased);
  CHECK(seen.domain == stub);
  CHECK(seen.target == web);
  CHECK(seen.guest == fmt::format("web ({}), by its stub domain {}", web, stub));
  CHECK(host.xen().facts(nic)->owner == web);
  host.toolstack_destroy(stub); // the stub domain first
  run();
  check_waits("web (");
  host.toolstack_destroy(web);
  next_guest_works();
  check_forgotten(stub);
  check_forgotten(web);
}

TEST_CASE_FIXTURE(stub_domain, "a stub domain's function goes back to quarantine from its target, which lives on") {
  start(0);
  host.toolstack_destroy(stub);
  run();
  check_waits("web (");
  CHECK(host.xen().facts(nic)->owner == platform::domid_io);
  CHECK(host.xen().holdings(web).frames == 0);
  qemu->let_go(nic);
  check_clean(nic);
  CHECK(host.xen().domain(web));
}

TEST_CASE_FIXTURE(stub_domain, "the simulated Xen gives a stub domain no vector of what is its target's") {
  CHECK(front->enable_msix(first_slot, {0}).error != 0);
  CHECK(front->enable_msi(first_slot).error != 0);
  CHECK(holding_pirqs(stub) == 0);
}

TEST_CASE_FIXTURE(stub_domain, "a stub domain's functions are drained under its target's name") {
  start(3);
  auto drained = std::make_shared<bool>(false);
  caf::scoped_actor asker(system, true);
  auto pending = asker->request(root, caf::infinite, messages::drain_atom_v, web);
  REQUIRE(serve(*front, [&] { return host.xen().facts(nic)->owner == platform::domid_io; }));
  qemu->let_go(nic);
  REQUIRE(serve(*front, [&] { return asker->has_next_message(); }));
  pending.receive([&] { *drained = true; }, [](caf::error&) {});
  CHECK(*drained);
  check_clean(nic);
  CHECK_FALSE(backend_exists(stub));
  CHECK(host.xen().domain(stub));
  CHECK(host.xen().domain(web));
}

// -- what xl has to do

TEST_CASE_FIXTURE(hvm_host, "attach to an HVM guest, a stub domain or a PVH guest is refused, and nothing is done") {
  const auto web = create("web", domain_kind::hvm);
  const auto stub = create("web-dm", domain_kind::pv, web);
  const auto pvh = create("light", domain_kind::pvh);
  for (const auto* name : {"web", "web-dm"}) {
    const auto refused = attach(name, nic);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().error == EOPNOTSUPP);
    CHECK(refused.error().context.find("`pcibackd-with-sysfs xl pci-attach web 0000:00:03.0`") != std::string::npos);
    CHECK(refused.error().context.find('\n') == std::string::npos);
  }
  const auto refused = attach("light", nic);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EOPNOTSUPP);
  CHECK(refused.error().context.find("PVH") != std::string::npos);
  for (const auto domain : {web, stub, pvh}) {
    check_untouched(domain);
  }
}

TEST_CASE_FIXTURE(web_is_assigned, "a function that is assigned to an HVM guest by the settings is not half given") {
  const auto web = create("web", domain_kind::hvm);
  advance(5s);
  check_untouched(web);
}

TEST_CASE_FIXTURE(hvm_guest, "detach and drain do not take a function from under a device model in dom0") {
  REQUIRE(qemu->start(nic, 3));
  const auto before = host.xen().facts(nic);
  CHECK(names(detach("web", nic), "xl pci-detach"));
  CHECK(names(drain("web"), "xl pci-detach"));
  CHECK(names(drain(nic), "xl pci-detach"));
  CHECK(function(nic).state == function_state::leased);
  CHECK(host.xen().facts(nic)->owner == web);
  CHECK(host.xen().facts(nic)->vectors == 3);
  CHECK(host.xen().facts(nic)->resets == before->resets);
  CHECK(masters(nic));
  CHECK(function(nic).target == web);
  CHECK(function(nic).guest == fmt::format("web ({})", web));
}

// -- errors

TEST_CASE_FIXTURE(on_error, "an error of an HVM guest's function that lost nothing is told, and no more") {
  host.inject_error(nic, error_severity::nonfatal);
  advance(30s);
  CHECK_FALSE(host.xen().domain(web)->shutdown);
  CHECK(host.xen().facts(nic)->resets == before.resets);
  CHECK(msix_on(nic));
  CHECK(masters(nic));
  CHECK(function(nic).errors.nonfatal == 1);
  CHECK(function(nic).errors.failed == 1);
  CHECK(function(nic).state == function_state::leased);
}

TEST_CASE_FIXTURE(on_error, "an HVM guest whose function the kernel reset is stopped, and not restored from outside") {
  host.inject_error(nic, error_severity::fatal);
  advance(30s);
  CHECK(host.xen().domain(web)->shutdown);
  CHECK(host.xen().facts(nic)->resets == before.resets + 1); // the kernel's own, of the bus
  CHECK(hardware(nic, pci::reg::command, 2) == 0);
  CHECK(hardware(nic, pci::reg::bar0, 4) == 0);
  host.toolstack_destroy(web);
  next_guest_works();
}

TEST_CASE("an HVM guest is left alone when the policy is to detach or to log") {
  for (const auto policy : {pci::error_policy::detach, pci::error_policy::log}) {
    on_error world(policy);
    world.host.inject_error(nic, error_severity::fatal);
    world.advance(30s);
    CHECK_FALSE(world.host.xen().domain(world.web)->shutdown);
    CHECK(world.host.xen().facts(nic)->owner == world.web);
    CHECK(world.function(nic).state == function_state::leased);
    world.host.toolstack_destroy(world.web);
    world.run();
    world.check_clean(nic);
  }
}

TEST_CASE_FIXTURE(stub_domain, "an error stops the target and not its stub domain, whose frontend is not asked") {
  start(3);
  for (const auto severity : {error_severity::nonfatal, error_severity::fatal}) {
    host.inject_error(nic, severity);
    REQUIRE(serve(*front, [&] { return function(nic).errors.failed > (severity == error_severity::fatal ? 1 : 0); }));
    CHECK(host.xen().domain(web)->shutdown == (severity == error_severity::fatal));
    CHECK_FALSE(host.xen().domain(stub)->shutdown);
  }
  CHECK(front->aer_requests().empty());
  host.toolstack_destroy(stub);
  host.toolstack_destroy(web);
  next_guest_works();
}

// -- another daemon

TEST_CASE_FIXTURE(hvm_host, "the next daemon leaves the target alone that Xen says has the function, until it ends") {
  stop_daemon();
  auto records = std::make_shared<platform::memory_records>();
  all->journal = std::make_shared<actors::journal>(records);
  start_root();
  REQUIRE(hold(nic));
  const auto web = create("web", domain_kind::hvm);
  const auto stub = create("web-dm", domain_kind::pv, web);
  REQUIRE(host.toolstack_attach_stub(stub, web, nic));
  run();
  {
    frontend front(host, stub, *this);
    REQUIRE(front.connect());
    REQUIRE(host.toolstack_attach_target(web, nic));
  }
  emulator qemu(host, web);
  REQUIRE(qemu.start(nic, 3));
  CHECK(all->journal->find(nic)->target == web);
  host.end_daemon();
  stop_daemon();
  host.toolstack_destroy(stub);
  all->functions = std::make_shared<actors::function_registry>();
  start_root();
  caf::scoped_actor asker(system, true);
  auto restored = asker->request(root, caf::infinite, messages::restore_atom_v);
  run();
  CHECK(function(nic).state == function_state::inherited);
  CHECK(host.xen().facts(nic)->owner == web);
  CHECK(msix_on(nic));
  qemu.let_go(nic);
  host.toolstack_destroy(web);
  check_clean(nic);
  restored.receive([] {}, [](caf::error&) { FAIL("not restored"); });
}

TEST_SUITE_END();
