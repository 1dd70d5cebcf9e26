// SPDX-License-Identifier: GPL-2.0-or-later
// A function that cannot be shown to be clean goes to nobody, says why, and can be scrubbed again by hand.
#include <array>
#include <functional>

#include "pass.hpp"
#include "two_cards.hpp"

using namespace test;
using messages::function_state;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

constexpr std::uint16_t msix_control = 0xa2, msi_control = 0xd2; // of the e1000e

struct used_card : two_cards {
  used_card() {
    REQUIRE(hold(nic));
    use_by("guest");
  }
  /// A guest gets the card, its driver works, and it leaves something for the restoration to undo: the cache line's
  /// size.
  void use_by(const std::string& name) {
    domain = boot(name, {nic});
    guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->connect());
    driver card(*guest, first_slot);
    REQUIRE(card.probe(3));
    CHECK(host.xen().raise(nic, 1));
    CHECK(card.interrupts() == 1);
    CHECK(guest->write(first_slot, 0x0c, 1, 0x20).good());
  }
  /// The guest's function taken away from it while it lives: a toolstack that deletes its nodes.
  void force_out() {
    REQUIRE(host.xenstore().remove(platform::sim::backend_path(domain)));
    REQUIRE(host.xenstore().remove("/libxl/pci/0000-00-03-0"));
    run();
  }
  /// Nobody gets it, whoever asks, and list says why.
  void check_quarantined(const std::string& reason) {
    const auto seen = function(nic);
    CHECK(seen.state == function_state::failed);
    CHECK_MESSAGE(seen.detail.find(reason) != std::string::npos, seen.detail);
    const auto other = host.create_domain("other");
    const auto device = ask<messages::device_actor>(root, messages::find_atom_v, nic).value();
    for (const auto& refused :
         {ask<void>(device, messages::grant_atom_v, other),
          ask<messages::lease>(device, messages::lease_atom_v, messages::lease_request{other, false, {}, {}})
              .map([](const messages::lease&) {})}) {
      REQUIRE_FALSE(refused);
      CHECK(refused.error().error == EBUSY);
      CHECK(refused.error().context.find(reason) != std::string::npos);
    }
    CHECK(host.xen().holdings(other) == platform::sim::domain_holdings{});
    host.toolstack_destroy(other);
    run();
  }
  domain_id domain = 0;
  std::unique_ptr<frontend> guest;
};

struct failing_step {
  std::string name; ///< as list shows it
  std::function<void(platform::sim::host&)> break_it, mend_it;
};

failing_step call(const char* name, const char* hypercall, int error) {
  return {name, [=](auto& host) { host.xen().fail_call(hypercall, error); },
          [=](auto& host) { host.xen().fail_call(hypercall, 0); }};
}

failing_step config(const char* name, std::uint16_t offset) {
  return {name, [=](auto& host) { host.xen().fail_config_write(nic, offset, EIO); },
          [=](auto& host) { host.xen().fail_config_write(nic, offset, 0); }};
}

failing_step stuck(const char* name, std::uint16_t offset, std::uint16_t bits) {
  return {name, [=](auto& host) { host.xen().stick(nic, offset, bits); },
          [=](auto& host) { host.xen().stick(nic, offset, 0); }};
}

const std::array steps{
    config("quiesce", 0x04),
    call("end_messages", "unmap_pirq", EIO),
    call("revoke", "iomem_permission", EPERM),
    call("withdraw", "deassign_device", EIO),
    failing_step{"reset", [](auto& host) { host.pci().fail_reset(EIO); }, [](auto& host) { host.pci().fail_reset(0); }},
    config("restore", 0x0c),
    call("renew_msix", "prepare_msix", EBUSY),
    call("quarantine", "assign_device", EIO),
    stuck("verify: MSI-X control still reads 8004", msix_control, pci::reg::msix_enable),
    stuck("verify: MSI control still reads 0081", msi_control, pci::reg::msi_enable),
    stuck("verify: COMMAND still reads", pci::reg::command, pci::reg::command_master),
};

} // namespace

TEST_CASE_FIXTURE(used_card,
                  "each step of a scrub fails in turn: quarantined, and clean when it is mended and retried") {
  for (const auto& step : steps) {
    CAPTURE(step.name);
    step.break_it(host);
    force_out();
    CHECK(function(nic).state == function_state::scrubbing); // it may pass
    pass(*this, std::chrono::seconds(3));
    check_quarantined(step.name);
    const auto again = retry(nic);
    REQUIRE_FALSE(again);
    CHECK(again.error().error == EIO);
    check_quarantined(step.name);

    step.mend_it(host);
    CHECK(retry(nic));
    check_clean(nic);
    CHECK(hardware(nic, 0x0c, 1) != 0x20);
    const auto left = host.xen().holdings(domain); // the line is the toolstack's, which gave it
    CHECK((left.message_pirqs.empty() && left.frames == 0 && left.functions.empty()));
    guest.reset();
    host.toolstack_destroy(domain);
    run();
    check_forgotten(domain);

    use_by("next");
  }
}

TEST_CASE_FIXTURE(used_card, "a step that fails for a moment is done again, and the function is clean in the end") {
  for (const auto& step : steps) {
    CAPTURE(step.name);
    step.break_it(host);
    host.toolstack_destroy(domain);
    run();
    CHECK(function(nic).state == function_state::scrubbing);
    CHECK_MESSAGE(function(nic).detail.find(step.name) != std::string::npos, function(nic).detail);
    // Who wants it meanwhile waits.
    const auto next = host.create_domain("next");
    const auto device = ask<messages::device_actor>(root, messages::find_atom_v, nic).value();
    caf::scoped_actor asker(system, true);
    auto granted = asker->request(device, caf::infinite, messages::grant_atom_v, next);
    run();
    CHECK_FALSE(asker->has_next_message());
    step.mend_it(host);
    CHECK(wait_until([&] { return asker->has_next_message(); }, std::chrono::seconds(3)));
    granted.receive([] {}, [](caf::error& error) { CHECK_MESSAGE(false, messages::to_failure(error, "").context); });
    host.toolstack_destroy(next);
    run();
    check_clean(nic);

    use_by("again");
  }
}

TEST_CASE_FIXTURE(used_card, "MSI-X that Xen refuses for a moment is prepared when that is over, and not given up") {
  host.xen().fail_call("prepare_msix", ENXIO);
  host.toolstack_destroy(domain);
  run();
  CHECK(function(nic).state == function_state::scrubbing);
  pass(*this, std::chrono::milliseconds(300));
  CHECK(function(nic).state == function_state::scrubbing);
  host.xen().fail_call("prepare_msix", 0);
  pass(*this, std::chrono::seconds(1));
  check_clean(nic);
  CHECK(function(nic).detail.empty());
  CHECK(host.xen().facts(nic)->prepared);
  const auto next = boot("next", {nic});
  frontend second(host, next, *this);
  REQUIRE(second.connect());
  driver card(second, first_slot);
  REQUIRE(card.probe(3));
  CHECK(host.xen().raise(nic, 2));
}

TEST_CASE_FIXTURE(used_card, "a card that is pulled out while its scrub is to be tried again is gone") {
  host.xen().fail_call("prepare_msix", ENXIO);
  host.toolstack_destroy(domain);
  run();
  CHECK(function(nic).state == function_state::scrubbing);
  host.remove_function(nic);
  run();
  CHECK(function(nic).state == function_state::gone);
  pass(*this, std::chrono::seconds(5));
  CHECK(function(nic).state == function_state::gone);
  CHECK(release(nic));
}

TEST_CASE_FIXTURE(used_card, "XSA-386: Xen still has the function with a guest: it is not taken for quarantined") {
  const auto other = host.create_domain("target"); // of a stub domain, say: Xen's owner is not who has the nodes
  REQUIRE(host.xen().toolstack_deassign(domain, nic));
  REQUIRE(host.xen().assign(other, nic, pci::rdm_policy::strict));
  host.toolstack_destroy(domain);
  run();
  pass(*this, std::chrono::seconds(3));
  CHECK(function(nic).state == function_state::failed);
  CHECK_MESSAGE(function(nic).detail.find("Xen still assigns it to a guest") != std::string::npos,
                function(nic).detail);
  host.toolstack_destroy(other);
  run();
  CHECK(retry(nic));
  check_clean(nic);
}

TEST_CASE_FIXTURE(used_card, "a mask that Xen forces on the function is cured") {
  // Decode off behind the daemon's back while vectors are mapped, as by another program of dom0's: Xen cannot reach the
  // table at the next map, and masks the function in every write from then on.
  REQUIRE(host.xen().config_write(nic, 0, pci::reg::command, 2, pci::reg::command_master));
  const auto table = host.pci().describe(nic)->resources[3].start;
  REQUIRE_FALSE(host.xen().map_msix(domain, nic, 3, table));
  REQUIRE(host.xen().facts(nic)->poisoned);
  REQUIRE(host.xen().config_write(nic, 0, msix_control, 2, pci::reg::msix_enable));
  REQUIRE(hardware(nic, msix_control, 2) == 0xc004);
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  check_forgotten(domain);
  CHECK(hardware(nic, msix_control, 2) == 0x0004);
  const auto next = boot("next", {nic});
  frontend second(host, next, *this);
  REQUIRE(second.connect());
  driver card(second, first_slot);
  REQUIRE(card.probe(3));
  CHECK(host.xen().raise(nic, 2));
  CHECK(card.interrupts() == 1);
}

TEST_CASE_FIXTURE(used_card, "retry on what needs none, and on what nobody holds") {
  const auto leased = retry(nic);
  REQUIRE_FALSE(leased);
  CHECK(leased.error().error == EBUSY);
  CHECK(function(nic).state == function_state::leased);
  CHECK(retry(disk).error().error == ENODEV);
  host.toolstack_destroy(domain);
  run();
  const auto resets = host.xen().facts(nic)->resets;
  CHECK(retry(nic));
  CHECK(host.xen().facts(nic)->resets == resets);
}

TEST_CASE_FIXTURE(used_card, "a function that failed is given back to dom0 when that is asked for") {
  host.xen().stick(nic, msix_control, pci::reg::msix_enable);
  host.toolstack_destroy(domain);
  run();
  pass(*this, std::chrono::seconds(3));
  REQUIRE(function(nic).state == function_state::failed);
  CHECK(release(nic));
  CHECK(host.xen().facts(nic)->driver == "e1000e");
}

TEST_SUITE_END();
