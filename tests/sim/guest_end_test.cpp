// SPDX-License-Identifier: GPL-2.0-or-later
// Every way in which a guest can end, or lose its functions: afterwards they are quiet, clean and free, and nothing of
// the guest is left.
#include <functional>
#include <vector>

#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::op_code;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct busy_guest : two_cards {
  busy_guest() {
    REQUIRE(hold(nic));
    REQUIRE(hold(disk));
    start();
  }
  void start() {
    domain = boot("guest", {nic, disk});
    guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->connect());
    REQUIRE(driver(*guest, first_slot).probe(3));
    REQUIRE(driver(*guest, second_slot).probe(2));
    REQUIRE(holding_pirqs(domain) == 5);
    REQUIRE(host.grant_table().mapped(domain) == 1);
  }
  /// libxl's `xl destroy`: each function is detached first, and waited for; then the domain goes.
  std::chrono::nanoseconds xl_destroy() {
    const auto begun = host.time().now();
    for (const auto& each : {nic, disk}) {
      static_cast<void>(host.toolstack_detach(domain, each, *this));
    }
    host.toolstack_destroy(domain);
    run();
    return host.time().now() - begun;
  }
  /// The functions are free; a guest that lives has nothing of them, one that does not is forgotten.
  void check_ended() {
    check_clean(nic);
    check_clean(disk);
    CHECK(holding_pirqs(domain) == 0);
    CHECK(host.xen().holdings(domain).functions.empty());
    CHECK(host.grant_table().mapped(domain) == 0);
    if (host.xen().domain(domain)) {
      host.toolstack_destroy(domain);
      run();
    }
    check_forgotten(domain);
    CHECK(host.xen().lost() == 0);
  }
  void steps(int count) {
    for (int i = 0; i < count; ++i) {
      step();
    }
  }
  domain_id domain = 0;
  std::unique_ptr<frontend> guest;
};

struct way_to_end {
  std::string name;
  std::function<void(busy_guest&)> end;
};

const std::vector<way_to_end> ways{
    {"shut down in order",
     [](busy_guest& all) {
       CHECK(all.guest->shutdown());
       all.host.shut_down(all.domain);
       all.run();
       all.xl_destroy();
     }},
    {"powered off without a word to its backend",
     [](busy_guest& all) {
       all.guest->withhold(true);
       all.host.shut_down(all.domain);
       all.run();
       CHECK(all.function(nic).state == function_state::leased); // on_poweroff may say "preserve"
       CHECK(all.xl_destroy() < 1s);
     }},
    {"crashed, and preserved for a while",
     [](busy_guest& all) {
       all.guest->withhold(true);
       all.host.shut_down(all.domain);
       all.advance(60s);
       CHECK(all.holding_pirqs(all.domain) == 5);
       all.host.toolstack_destroy(all.domain);
       all.run();
     }},
    {"destroyed by the hypervisor alone",
     [](busy_guest& all) {
       all.host.destroy(all.domain);
       all.run();
     }},
    {"destroyed by xl while its frontend ignores everything",
     [](busy_guest& all) {
       all.guest->withhold(true);
       CHECK(all.xl_destroy() < 2 * all.all->configuration->frontend_patience + 1s);
     }},
    {"paused, then destroyed by xl",
     [](busy_guest& all) {
       all.guest->withhold(true);
       all.host.xen().pause(all.domain, true);
       CHECK(all.xl_destroy() < 500ms);
     }},
    {"the backend directory is removed",
     [](busy_guest& all) {
       CHECK(all.host.xenstore().remove(fmt::format("/local/domain/0/backend/pci/{}", all.domain)));
       all.run();
     }},
    {"the frontend directory is removed by the guest",
     [](busy_guest& all) {
       CHECK(all.host.store_daemon().for_domain(all.domain).remove(platform::sim::frontend_path(all.domain)));
       all.run();
     }},
    {"all of its nodes are removed before it dies",
     [](busy_guest& all) {
       CHECK(all.host.xenstore().remove(fmt::format("/local/domain/{}", all.domain)));
       all.host.destroy(all.domain);
       all.run();
     }},
    {"drained, domain by domain",
     [](busy_guest& all) {
       all.guest->withhold(true);
       CHECK(all.drain("guest"));
     }},
    {"drained, function by function",
     [](busy_guest& all) {
       all.guest->withhold(true);
       CHECK(all.drain(disk));
       CHECK(all.function(nic).state == function_state::leased);
       CHECK(all.drain(nic));
     }},
    {"drained while it is paused",
     [](busy_guest& all) {
       all.guest->withhold(true);
       all.host.xen().pause(all.domain, true);
       const auto begun = all.host.time().now();
       CHECK(all.drain("guest"));
       CHECK(all.host.time().now() - begun < 1s);
     }},
};

} // namespace

TEST_CASE_FIXTURE(busy_guest, "XSA-360: however a guest ends, its functions are free and nothing of it is left") {
  for (const auto& way : ways) {
    CAPTURE(way.name);
    way.end(*this);
    guest.reset();
    check_ended();
    start(); // the next guest, or the same after a reboot
  }
}

TEST_CASE_FIXTURE(busy_guest, "a guest is destroyed while a function is being detached from it, at every step") {
  for (int count = 0; count < 30; ++count) {
    CAPTURE(count);
    guest->withhold(count % 2 == 0);
    caf::anon_send(root, messages::detach_atom_v, domain, disk);
    steps(count);
    host.toolstack_destroy(domain);
    run();
    advance(20s);
    guest.reset();
    check_ended();
    start();
  }
}

TEST_CASE_FIXTURE(busy_guest, "a guest is destroyed while it is being drained, at every step") {
  for (int count = 0; count < 30; ++count) {
    CAPTURE(count);
    caf::anon_send(root, messages::drain_atom_v, domain);
    steps(count);
    host.toolstack_destroy(domain);
    run();
    advance(20s);
    guest.reset();
    check_ended();
    start();
  }
}

TEST_CASE_FIXTURE(busy_guest, "XSA-509: a guest ends while its interrupts are switched on, at every step") {
  for (int count = 0; count < 40; ++count) {
    CAPTURE(count);
    REQUIRE(guest->disable(first_slot).good()); // or nothing is switched on any more
    auto what = guest->make(count % 2 == 0 ? op_code::enable_msi : op_code::enable_msix, first_slot);
    what.value = 1;
    guest->post(what);
    guest->kick();
    steps(count / 4);
    if (count % 4 >= 2) { // it loses the function by force, and lives on: Xen ends nothing by itself
      caf::anon_send(root, messages::drain_atom_v, nic);
      run();
      advance(60s);
      CHECK(function(nic).state == messages::function_state::held);
      CHECK(host.xen().facts(nic)->vectors == 0);
    }
    host.toolstack_destroy(domain);
    run();
    guest.reset();
    check_ended();
    start();
  }
}

TEST_CASE_FIXTURE(two_cards, "a toolstack makes a guest's directories anew, at every step of their being forgotten") {
  REQUIRE(hold(nic));
  REQUIRE(hold(disk));
  for (int count = 0; count < 30; ++count) {
    CAPTURE(count);
    const auto domain = boot("guest", {nic});
    REQUIRE(frontend(host, domain, *this).connect());
    REQUIRE(host.xenstore().remove(platform::sim::backend_path(domain)));
    REQUIRE(host.xenstore().remove("/libxl/pci/0000-00-03-0"));
    for (int i = 0; i < count; ++i) {
      step();
    }
    REQUIRE(host.toolstack_attach(domain, disk, true));
    run();
    frontend again(host, domain, *this);
    CHECK(again.connect());
    CHECK(again.functions().size() == 1);
    host.toolstack_destroy(domain);
    run();
    check_clean(nic);
    check_clean(disk);
    check_forgotten(domain);
  }
}

TEST_CASE_FIXTURE(busy_guest, "the page is unmapped before a dead guest's function is reset") {
  const auto resets = host.xen().facts(nic)->resets;
  host.destroy(domain);
  while (host.grant_table().mapped(domain) != 0) {
    CHECK(host.xen().facts(nic)->resets == resets);
    REQUIRE(step());
  }
  CHECK_FALSE(msix_on(nic));
  CHECK_FALSE(host.xen().domain(domain));
  run();
  CHECK(host.xen().facts(nic)->resets == resets + 1);
  check_ended();
}

TEST_CASE_FIXTURE(busy_guest, "a guest that answers lets go of a function that is drained by itself") {
  caf::anon_send(root, messages::drain_atom_v, disk);
  const auto begun = host.time().now();
  REQUIRE(serve(*guest, [&] { return function(disk).state == function_state::held; }));
  CHECK(host.time().now() - begun < 1s);
  CHECK(guest->functions().size() == 1);
  REQUIRE(serve(*guest, [&] { return backend(domain, "num_devs") == "1"; }));
  CHECK(guest->read(first_slot, 0, 4).good());
  CHECK(holding_pirqs(domain) == 3);
}

TEST_CASE_FIXTURE(busy_guest, "a daemon that stops does not wait for a drain that is under way") {
  guest->withhold(true);
  caf::anon_send(root, messages::drain_atom_v, disk);
  steps(6);
  stop_daemon(); // and the fixture's end waits for every actor
  CHECK(holding_pirqs(domain) == 5);
}

TEST_CASE_FIXTURE(busy_guest, "drain on what nobody has, and on what is not there") {
  CHECK(drain(pci::make_sbdf(0, 9, 0, 0)).error().error == ENODEV);
  CHECK(drain("nobody").error().error == ESRCH);
  const auto other = host.create_domain("other");
  CHECK(drain("other"));
  host.toolstack_destroy(other);
  host.toolstack_destroy(domain);
  run();
  CHECK(drain(nic));
  check_clean(nic);
}

TEST_CASE_FIXTURE(two_cards, "a function that was granted and never seen by its guest is drained") {
  REQUIRE(hold(nic));
  const auto domain = host.create_domain("guest");
  const auto device = ask<messages::device_actor>(root, messages::find_atom_v, nic).value();
  REQUIRE(ask<void>(device, messages::grant_atom_v, domain));
  CHECK(drain(nic));
  check_clean(nic);
  CHECK(host.xen().holdings(domain) == platform::sim::domain_holdings{});
}

TEST_CASE_FIXTURE(two_cards,
                  "two functions of one guest on one line: the line is the guest's until the last is taken") {
  constexpr std::uint16_t line = 22;
  const auto twin = pci::make_sbdf(0, 0, 5, 0);
  host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), twin), "e1000e");
  REQUIRE(hold(nic));
  REQUIRE(hold(twin));
  const auto domain = host.create_domain("guest");
  REQUIRE(ask<void>(device(nic), messages::grant_atom_v, domain));
  REQUIRE(ask<void>(device(twin), messages::grant_atom_v, domain));
  for (const auto& first : {nic, twin}) {
    CAPTURE(pci::to_string(first));
    const auto second = first == nic ? twin : nic;
    REQUIRE(ask<void>(device(first), messages::revoke_atom_v, domain));
    CHECK(host.xen().holdings(domain).line_pirqs == std::vector<std::uint16_t>{line});
    CHECK(host.xen().holdings(domain).irqs == std::vector<std::uint32_t>{line});
    REQUIRE(ask<void>(device(second), messages::revoke_atom_v, domain));
    CHECK(host.xen().holdings(domain) == platform::sim::domain_holdings{});
    REQUIRE(ask<void>(device(nic), messages::grant_atom_v, domain));
    REQUIRE(ask<void>(device(twin), messages::grant_atom_v, domain));
  }
}

TEST_SUITE_END();
