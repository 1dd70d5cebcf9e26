// SPDX-License-Identifier: GPL-2.0-or-later
// One function is one guest's, whoever asks; and what becomes of it when an actor ends by a bug.
#include <stdexcept>

#include "actors/device/device.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::op_code;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

bool says(const std::string& text, std::string_view what) { return text.find(what) != std::string::npos; }

struct leased_card : two_cards {
  leased_card() {
    REQUIRE(hold(nic));
    domain = boot("guest", {nic});
    guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->connect());
    REQUIRE(driver(*guest, first_slot).probe(3));
  }
  void check_unharmed() {
    CHECK(function(nic).state == function_state::leased);
    CHECK(function(nic).domain == domain);
    CHECK(holding_pirqs(domain) == 3);
    CHECK(host.xen().raise(nic, 0));
    CHECK(guest->read(first_slot, 0, 4).good());
  }
  domain_id domain = 0;
  std::unique_ptr<frontend> guest;
};

/// The simulated host, whose hypervisor throws when it is told to: a bug in a handler.
class throwing_host final : public platform::host {
public:
  explicit throwing_host(platform::sim::host& real) : real_(&real) {}
  platform::store& xenstore() override { return real_->xenstore(); }
  platform::event_channels& channels() override { return real_->channels(); }
  platform::grants& grant_table() override { return real_->grant_table(); }
  platform::hypervisor& xen() override {
    if (std::exchange(armed, false)) {
      throw std::runtime_error("a bug");
    }
    return real_->xen();
  }
  platform::pci_host& pci() override {
    if (std::exchange(armed_job, false)) {
      throw std::runtime_error("another bug");
    }
    return real_->pci();
  }
  platform::line_interrupts& lines() override { return real_->lines(); }
  platform::removal_guards& guards() override { return real_->guards(); }
  const platform::clock& time() const override { return std::as_const(*real_).time(); }
  pci::result<void> start(platform::event_sink& sink) override { return real_->start(sink); }
  void stop() override { real_->stop(); }
  bool armed = false, armed_job = false;

private:
  platform::sim::host* real_;
};

struct buggy : two_cards {
  buggy() : bugs(host) {
    stop_daemon();
    all = std::make_shared<actors::environment>(
        actors::environment{bugs, actors::settings{}, events, store_worker, false});
    start_root();
    REQUIRE(hold(nic));
    REQUIRE(hold(disk));
    domain = boot("guest", {nic, disk});
    guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->connect());
  }
  ~buggy() override { stop_daemon(); }
  throwing_host bugs;
  domain_id domain = 0;
  std::unique_ptr<frontend> guest;
};

} // namespace

TEST_CASE_FIXTURE(leased_card, "a second guest is refused a device that is leased") {
  const auto second = host.create_domain("second");
  CHECK_FALSE(host.toolstack_attach(second, nic, true));
  // A toolstack that does not look:
  REQUIRE(host.xenstore().remove("/libxl/pci/0000-00-03-0"));
  const auto back = platform::sim::backend_path(second), front = platform::sim::frontend_path(second);
  for (const auto& [path, value] : {std::pair<std::string, std::string>{front + "/state", "1"},
                                    {back + "/frontend", front},
                                    {back + "/dev-0", "0000:00:03.0"},
                                    {back + "/state-0", "1"},
                                    {back + "/num_devs", "1"},
                                    {back + "/online", "1"},
                                    {back + "/state", "1"},
                                    {back + "/frontend-id", std::to_string(second)}}) {
    REQUIRE(host.xenstore().write(path, value));
  }
  run();
  CHECK(backend(second, "state") == "5");
  CHECK(says(error_node(second), "domain 1 has it"));
  CHECK(error_node(second).starts_with("16 "));
  check_unharmed();
}

TEST_CASE_FIXTURE(leased_card, "the daemon's commands on a device that is leased") {
  const auto released = release(nic);
  REQUIRE_FALSE(released);
  CHECK(released.error().error == EBUSY);
  CHECK(says(released.error().context, "domain 1 has it"));
  const auto twice = attach("guest", nic);
  REQUIRE_FALSE(twice);
  CHECK(twice.error().error == EEXIST);
  const auto held_again = hold(nic);
  REQUIRE_FALSE(held_again);
  CHECK(held_again.error().error == EEXIST);
  CHECK(says(held_again.error().context, "held already"));
  const auto revoked = ask<void>(device(nic), messages::revoke_atom_v, domain);
  REQUIRE_FALSE(revoked);
  CHECK(revoked.error().error == EBUSY);
  check_unharmed();
}

TEST_CASE_FIXTURE(two_cards, "commands on what is not there") {
  CHECK(hold(pci::make_sbdf(0, 9, 0, 0)).error().error == ENODEV);
  const auto driven = hold(nic, false);
  REQUIRE_FALSE(driven);
  CHECK(driven.error().error == EBUSY);
  CHECK(says(driven.error().context, "e1000e"));
  CHECK(host.xen().facts(nic)->driver == "e1000e");
  CHECK(release(nic).error().error == ENODEV);
  CHECK(status().functions.empty());
  REQUIRE(hold(nic));
  const auto nobody = attach("nobody", nic);
  REQUIRE_FALSE(nobody);
  CHECK(nobody.error().error == ESRCH);
  CHECK(says(nobody.error().context, "there is no domain \"nobody\""));
  host.create_domain("guest");
  CHECK(attach("guest", disk).error().error == ENODEV);
  CHECK(detach("guest", nic).error().error == ENOENT);
  REQUIRE(release(nic));
  CHECK(host.xen().facts(nic)->driver == "e1000e");
  CHECK(host.xen().facts(nic)->owner == 0);
  CHECK(status().functions.empty());
}

TEST_CASE_FIXTURE(two_cards, "a grant that is revoked leaves nothing in the domain") {
  REQUIRE(hold(nic));
  const auto domain = host.create_domain("guest");
  const auto device = ask<messages::device_actor>(root, messages::find_atom_v, nic).value();
  REQUIRE(ask<void>(device, messages::grant_atom_v, domain));
  CHECK(host.xen().holdings(domain).line_pirqs == std::vector<std::uint16_t>{22});
  CHECK(host.xen().holdings(domain).frames > 0);
  CHECK(ask<void>(device, messages::grant_atom_v, domain).error().error == EBUSY);
  CHECK(ask<void>(device, messages::revoke_atom_v, std::uint16_t{99}).error().error == EBUSY);
  REQUIRE(ask<void>(device, messages::revoke_atom_v, domain));
  CHECK(host.xen().holdings(domain) == platform::sim::domain_holdings{});
  check_clean(nic);
}

TEST_CASE_FIXTURE(two_cards, "a function that a living guest has is not taken from it") {
  const auto domain = host.create_domain("guest");
  REQUIRE(host.xenstore().write("/libxl/pci/0000-00-03-0/domid", std::to_string(domain)));
  const auto refused = hold(nic);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EBUSY);
  CHECK(says(refused.error().context, "belongs to domain"));
  CHECK(host.xen().facts(nic)->resets == 0);
  host.toolstack_destroy(domain);
  CHECK(hold(nic));
}

TEST_CASE_FIXTURE(two_cards, "a grant that Xen refuses at any step leaves nothing in the domain") {
  REQUIRE(hold(nic));
  const auto domain = host.create_domain("guest");
  const auto device = ask<messages::device_actor>(root, messages::find_atom_v, nic).value();
  for (unsigned step = 0; step < 5; ++step) {
    CAPTURE(step);
    host.xen().fail_next(ENOMEM, step);
    const auto granted = ask<void>(device, messages::grant_atom_v, domain);
    REQUIRE_FALSE(granted);
    CHECK(granted.error().error == ENOMEM);
    check_clean(nic);
    CHECK(host.xen().holdings(domain) == platform::sim::domain_holdings{});
  }
}

TEST_CASE_FIXTURE(leased_card, "a guest that starts while the scrub runs waits for it") {
  host.toolstack_destroy(domain);
  const auto next = host.create_domain("next");
  while (!host.toolstack_attach(next, nic, true)) {
    REQUIRE(host.xenstore().remove("/libxl/pci/0000-00-03-0"));
    REQUIRE(step());
  }
  run();
  CHECK(function(nic).domain == next);
  frontend second(host, next, *this);
  REQUIRE(second.connect());
  REQUIRE(driver(second, first_slot).probe(3));
  CHECK(holding_pirqs(next) == 3);
}

TEST_CASE_FIXTURE(two_cards, "a guest whose device cannot be held is told, and does not wait for ever") {
  const auto domain = host.create_domain("guest");
  REQUIRE(host.toolstack_attach(domain, nic, true));
  run();
  CHECK(backend(domain, "state") == "5");
  CHECK(says(error_node(domain), "is not held"));
  host.toolstack_destroy(domain);
  run();
  check_forgotten(domain);
}

TEST_CASE_FIXTURE(two_cards, "a lease that waits for a hold which fails is refused") {
  const actors::environment_ptr for_all(all);
  auto device = system.spawn(actors::device, for_all, nic, actors::settings::device{},
                             actors::device_services{system.spawn(actors::function_worker, for_all, nic), {}});
  auto first = self->request(device, caf::infinite, messages::hold_atom_v, false);
  auto second = self->request(device, caf::infinite, messages::lease_atom_v, messages::lease_request{1, false, {}, {}});
  run();
  int refused = 0;
  REQUIRE(self->has_next_message());
  first.receive([] {}, [&](caf::error&) { ++refused; });
  REQUIRE(self->has_next_message());
  second.receive([](const messages::lease&) {}, [&](caf::error&) { ++refused; });
  CHECK(refused == 2);
}

TEST_CASE_FIXTURE(leased_card, "a device actor that ends by a bug leaves the guest nothing, and is started again") {
  for (const auto reason : {caf::exit_reason::unhandled_exception, caf::exit_reason::kill}) {
    caf::anon_send_exit(caf::actor_cast<caf::actor>(device(nic)), reason);
    run();
    CHECK(holding_pirqs(domain) == 0);
    CHECK(host.xen().holdings(domain).functions.empty());
    check_clean(nic);
    CHECK(guest->read(first_slot, 0, 4).error == -1);
    CHECK(guest->read(first_slot, 4, 2).error == -1);
    CHECK(guest->timeouts() == 0);
    host.toolstack_destroy(domain);
    run();
    check_forgotten(domain);
    check_clean(nic);
    domain = boot("next", {nic});
    guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->connect());
    REQUIRE(driver(*guest, first_slot).probe(3));
  }
}

TEST_CASE_FIXTURE(buggy, "a domain actor that ends by a bug gives its leases back, and the guest is told") {
  REQUIRE(driver(*guest, first_slot).probe(3));
  bugs.armed = true;
  REQUIRE(guest->write_node("state", "4"));
  run();
  CHECK_FALSE(bugs.armed);
  CHECK(backend(domain, "state") == "5");
  CHECK(holding_pirqs(domain) == 0);
  CHECK(host.grant_table().mapped(domain) == 0);
  check_clean(nic);
  check_clean(disk);
  CHECK(serve(*guest, [&] { return guest->state() == 6; }));
  REQUIRE(guest->reconnect());
  CHECK(guest->functions().size() == 2);
}

TEST_CASE_FIXTURE(buggy, "an exception while an operation is carried out is answered, and the other function served") {
  CHECK(guest->write(first_slot, 4, 2, 6).good());
  auto what = guest->make(op_code::enable_msix, first_slot);
  what.value = 1;
  run(); // nobody else is to meet the bug
  bugs.armed = true;
  CHECK(guest->perform(what).error == -1);
  CHECK(guest->timeouts() == 0);
  run();
  CHECK(guest->read(second_slot, 0, 4).good());
  CHECK(guest->read(first_slot, 0, 4).error == -1);
  check_clean(nic);
}

TEST_CASE_FIXTURE(buggy, "an exception in a job is an answer") {
  REQUIRE(guest->write_node("state", "5"));
  host.toolstack_destroy(domain);
  bugs.armed_job = true; // the reset
  run();
  CHECK_FALSE(bugs.armed_job);
  const auto broken = function(nic).state == function_state::failed ? nic : disk;
  CHECK(function(broken).state == function_state::failed);
  CHECK(says(function(broken).detail, "bug"));
  REQUIRE(release(broken));
  REQUIRE(hold(broken));
  check_clean(nic);
  check_clean(disk);
  check_forgotten(domain);
}

TEST_SUITE_END();
