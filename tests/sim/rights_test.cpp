// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest may do with a function, and what becomes of it when a right cannot be given or taken.
#include "two_cards.hpp"

using namespace test;
using messages::function_state;
using platform::sim::domain_holdings;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct held_card : two_cards {
  explicit held_card(actors::settings settings = {}) : two_cards(std::move(settings)) { REQUIRE(hold(nic)); }
  pci::result<void> grant(domain_id domain) { return ask<void>(device(nic), messages::grant_atom_v, domain); }
  pci::result<void> revoke(domain_id domain) { return ask<void>(device(nic), messages::revoke_atom_v, domain); }
  /// Nobody has it, and it was not even reset.
  void check_untouched(unsigned resets) {
    check_clean(nic);
    CHECK(host.xen().facts(nic)->resets == resets);
  }
  /// The guest is a toolstack's and lives on without the function.
  domain_id leave_alive(const std::string& name) {
    const auto domain = boot(name, {nic});
    guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->connect());
    take_nodes(domain);
    return domain;
  }
  void take_nodes(domain_id domain) {
    REQUIRE(host.xenstore().remove(platform::sim::backend_path(domain)));
    REQUIRE(host.xenstore().remove("/libxl/pci/0000-00-03-0"));
    run();
  }
  std::unique_ptr<frontend> guest;
};

actors::settings with(const std::function<void(pci::policy&)>& change) {
  actors::settings settings;
  change(settings.own(nic).policy);
  return settings;
}

struct shared_memory_for_all : held_card {
  shared_memory_for_all() : held_card(with([](auto& policy) { policy.rdm = pci::rdm_policy::relaxed; })) {
    host.xen().share_reserved_memory(nic);
  }
};

struct for_one_guest : held_card {
  for_one_guest() : held_card(with([](auto& policy) { policy.reuse = pci::reuse_policy::after_guest; })) {}
};

} // namespace

TEST_CASE_FIXTURE(held_card, "dom0 is no guest, however it is called, and nothing is touched") {
  const auto resets = host.xen().facts(nic)->resets;
  const auto calls = host.xen().hypercalls();
  REQUIRE(host.xenstore().write("/local/domain/0/name", "control"));
  for (const auto* name : {"0", "Domain-0", "control"}) {
    for (const auto& refused : {attach(name, nic).map([](const pci::sbdf&) {}), detach(name, nic), drain(name)}) {
      REQUIRE_FALSE(refused);
      CHECK(refused.error().error == EINVAL);
      CHECK(refused.error().context.find("dom0 itself") != std::string::npos);
    }
  }
  const auto leased =
      ask<messages::lease>(device(nic), messages::lease_atom_v, messages::lease_request{0, false, {}, {}});
  CHECK(grant(0).error().error == EINVAL);
  CHECK(leased.error().error == EINVAL);
  CHECK(host.xen().hypercalls() == calls);
  check_untouched(resets);
}

TEST_CASE_FIXTURE(held_card, "one BAR that cannot be taken away does not leave the others with the guest") {
  const auto domain = host.create_domain("guest");
  REQUIRE(grant(domain));
  const auto all_frames = host.xen().holdings(domain).frames;
  const auto first = host.pci().describe(nic)->resources[0];
  REQUIRE(all_frames > first.size() / 4096);
  host.xen().fail_next(EPERM, 2); // after the line's two calls
  caf::anon_send(device(nic), messages::revoke_atom_v, domain);
  run();
  const auto left = host.xen().holdings(domain);
  CHECK(left.frames == first.size() / 4096);
  CHECK(left.ports == 0);
  CHECK(left.functions.empty());
  CHECK(function(nic).detail.starts_with("revoke: "));
  check_clean(nic); // it is tried again
  CHECK(host.xen().holdings(domain) == domain_holdings{});
}

TEST_CASE_FIXTURE(held_card,
                  "a guest that Xen built without passthrough: it is told what it lacks, and no more happens") {
  const auto resets = host.xen().facts(nic)->resets;
  const auto domain = host.create_domain(
      platform::sim::domain_options{.name = "plain", .target = {}, .uuid = {}, .passthrough = false});
  const auto refused = attach("plain", nic);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EOPNOTSUPP);
  for (const auto* word : {"passthrough=\"enabled\"", "e820_host=1", "PVH", "domain 1"}) {
    CHECK(refused.error().context.find(word) != std::string::npos);
  }
  CHECK(host.xen().holdings(domain) == domain_holdings{});
  check_untouched(resets);
  // Nor is it lost when such a guest has it in other ways.
  REQUIRE(ask<messages::lease>(device(nic), messages::lease_atom_v, messages::lease_request{domain, false, {}, {}}));
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
}

TEST_CASE_FIXTURE(held_card, "a function that a guest without passthrough was given and gave back is clean") {
  const auto domain = host.create_domain(
      platform::sim::domain_options{.name = "plain", .target = {}, .uuid = {}, .passthrough = false});
  caf::scoped_actor holder(system, true);
  auto leased = holder->request(device(nic), caf::infinite, messages::lease_atom_v,
                                messages::lease_request{domain, false, {}, {}});
  run();
  leased.receive([&](const messages::lease& lease) { holder->send(device(nic), messages::return_atom_v, lease); },
                 [](caf::error&) { FAIL("it is free"); });
  run();
  check_clean(nic);
}

TEST_CASE_FIXTURE(two_cards, "a function whose line is not connected has none, and goes to guests all the same") {
  for (const unsigned irq : {255U, 256U, 0x80000000U}) {
    CAPTURE(irq);
    auto card = platform::sim::place(*platform::sim::builtin_model("e1000e"), nic);
    card.irq = irq;
    REQUIRE(host.remove_function(nic));
    run();
    host.add_function(card, "e1000e");
    run();
    if (function(nic).address != nic) {
      REQUIRE(hold(nic));
    }
    check_clean(nic);
    CHECK(function(nic).gsi == 0);
    const auto domain = host.create_domain("guest");
    REQUIRE(ask<void>(device(nic), messages::grant_atom_v, domain));
    const auto has = host.xen().holdings(domain);
    CHECK((has.line_pirqs.empty() && has.irqs.empty() && has.frames != 0));
    host.toolstack_destroy(domain);
    run();
    check_clean(nic);
    REQUIRE(release(nic));
  }
}

TEST_CASE_FIXTURE(held_card, "reserved memory that others share: held all the same, and given when that is wanted") {
  host.xen().share_reserved_memory(nic);
  REQUIRE(release(nic));
  REQUIRE(hold(nic));
  check_clean(nic);
  const auto domain = host.create_domain("guest");
  guest = std::make_unique<frontend>(host, domain, *this);
  const auto resets = host.xen().facts(nic)->resets;
  const auto refused = attach("guest", nic);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EPERM);
  CHECK(refused.error().context.find("--rdm relaxed") != std::string::npos);
  check_untouched(resets);
  caf::scoped_actor asker(system, true);
  const messages::attach_options relaxed{pci::rdm_policy::relaxed};
  auto attached = asker->request(root, caf::infinite, messages::attach_atom_v, domain, nic, relaxed);
  run();
  REQUIRE(guest->connect());
  REQUIRE(wait_until([&] { return asker->has_next_message(); }, std::chrono::seconds(30)));
  attached.receive([](const pci::sbdf& where) { CHECK(where == first_slot); },
                   [](caf::error& error) { FAIL(messages::to_failure(error, "").context); });
  CHECK(backend(domain, "opts-0").ends_with("rdm_policy=relaxed"));
  CHECK(host.xen().facts(nic)->owner == domain);
}

TEST_CASE_FIXTURE(shared_memory_for_all, "the settings allow it for every guest, an administrator not for one") {
  const auto domain = host.create_domain("guest");
  const messages::attach_options no{pci::rdm_policy::strict};
  CHECK(ask<messages::attach_options>(device(nic), messages::grant_atom_v, domain, no).error().error == EPERM);
  const auto granted =
      ask<messages::attach_options>(device(nic), messages::grant_atom_v, domain, messages::attach_options{});
  REQUIRE(granted);
  CHECK(granted->rdm == pci::rdm_policy::relaxed);
}

TEST_CASE_FIXTURE(held_card, "a function that Xen still has with a guest is not given to dom0's driver") {
  host.xen().fail_call("deassign_device", EIO);
  const auto domain = leave_alive("guest");
  REQUIRE(wait_until([&] { return function(nic).state == function_state::failed; }, std::chrono::seconds(10)));
  REQUIRE(host.xen().facts(nic)->owner == domain);
  const auto refused = release(nic);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EBUSY);
  CHECK(refused.error().context.find("its last guest still has it") != std::string::npos);
  CHECK(function(nic).state == function_state::failed);
  CHECK(host.xen().facts(nic)->driver == "pci-stub");
  SUBCASE("until Xen can take it") {
    host.xen().fail_call("deassign_device", 0);
    REQUIRE(release(nic));
    CHECK(host.xen().facts(nic)->driver == "e1000e");
    CHECK(host.xen().facts(nic)->owner == 0);
  }
  SUBCASE("until the guest is gone") {
    host.xen().fail_call("deassign_device", 0);
    host.toolstack_destroy(domain);
    guest.reset();
    run();
    REQUIRE(release(nic));
    CHECK(host.xen().facts(nic)->driver == "e1000e");
  }
}

TEST_CASE_FIXTURE(held_card, "frames or pirqs that a guest still has keep a function from dom0's driver, too") {
  for (const auto* call : {"iomem_permission", "irq_permission"}) {
    CAPTURE(call);
    const auto domain = host.create_domain("guest");
    REQUIRE(grant(domain));
    host.xen().fail_call(call, EPERM);
    REQUIRE_FALSE(revoke(domain));
    CHECK(release(nic).error().error == EBUSY);
    CHECK(host.xen().facts(nic)->driver == "pci-stub");
    host.xen().fail_call(call, 0);
    REQUIRE(release(nic));
    CHECK(host.xen().holdings(domain) == domain_holdings{});
    REQUIRE(hold(nic));
  }
}

TEST_CASE_FIXTURE(held_card, "a living guest that lost its function is named, and the next gets it at once") {
  const auto web = leave_alive("web");
  check_clean(nic);
  CHECK(function(nic).detail == fmt::format("its last guest, web ({}), still runs", web));
  CHECK(function(nic).last_guests == std::vector{web});
  CHECK_FALSE(function(nic).reserved);
  guest.reset();
  const auto mail = leave_alive("mail");
  check_clean(nic);
  CHECK(function(nic).detail == fmt::format("its last guests, web ({}) and mail ({}), still run", web, mail));
  guest.reset();
  host.toolstack_destroy(web);
  run();
  CHECK(function(nic).detail == fmt::format("its last guest, mail ({}), still runs", mail));
  host.toolstack_destroy(mail);
  run();
  CHECK(function(nic).detail.empty());
}

TEST_CASE_FIXTURE(for_one_guest,
                  "a function that is not to be used again while its last guest runs goes to nobody else") {
  const auto web = leave_alive("web");
  check_clean(nic);
  CHECK(function(nic).reserved);
  const auto other = host.create_domain("other");
  for (const auto& refused :
       {grant(other), release(nic), attach("other", nic).map([](const pci::sbdf&) {}),
        ask<messages::lease>(device(nic), messages::lease_atom_v, messages::lease_request{other, false, {}, {}})
            .map([](const messages::lease&) {})}) {
    REQUIRE_FALSE(refused);
    CHECK(refused.error().error == EBUSY);
    CHECK(refused.error().context.find(fmt::format("web ({}), still runs", web)) != std::string::npos);
  }
  CHECK(host.xen().holdings(other) == domain_holdings{});
  // A daemon that starts anew knows it from the journal.
  stop_daemon();
  start_root();
  REQUIRE(ask<void>(root, messages::restore_atom_v));
  check_clean(nic);
  CHECK(function(nic).reserved);
  CHECK(grant(other).error().error == EBUSY);
  REQUIRE(grant(web));
  REQUIRE(revoke(web));
  CHECK(grant(other).error().error == EBUSY);
  guest.reset();
  host.toolstack_destroy(web);
  run();
  CHECK_FALSE(function(nic).reserved);
  CHECK(grant(other));
}

TEST_CASE_FIXTURE(two_cards, "a function that Xen does not prepare is of use without MSI-X, until it does") {
  host.xen().fail_call("prepare_msix", ENOMEM);
  REQUIRE(hold(nic));
  check_clean(nic);
  CHECK(function(nic).detail.starts_with("without MSI-X: "));
  REQUIRE(function(nic).notes.size() == 1);
  CHECK(function(nic).notes.front().starts_with("without MSI-X: "));
  auto domain = boot("guest", {nic});
  auto guest = std::make_unique<frontend>(host, domain, *this);
  REQUIRE(guest->connect());
  const auto sees = [&](std::uint8_t id) {
    auto at = guest->read(first_slot, pci::reg::capabilities, 1).value;
    for (int steps = 0; at != 0 && steps < 48; ++steps) {
      if (guest->read(first_slot, static_cast<std::int32_t>(at), 1).value == id) {
        return true;
      }
      at = guest->read(first_slot, static_cast<std::int32_t>(at + 1), 1).value;
    }
    return false;
  };
  CHECK_FALSE(sees(pci::reg::cap_msix));
  CHECK(sees(pci::reg::cap_msi));
  CHECK_FALSE(guest->enable_msix(first_slot, {0}).good());
  CHECK(guest->enable_msi(first_slot).good());
  guest.reset();
  host.xen().fail_call("prepare_msix", 0);
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  CHECK(function(nic).detail.empty());
  domain = boot("next", {nic});
  guest = std::make_unique<frontend>(host, domain, *this);
  REQUIRE(guest->connect());
  CHECK(sees(pci::reg::cap_msix));
  CHECK(guest->enable_msix(first_slot, {0}).good());
}

TEST_SUITE_END();
