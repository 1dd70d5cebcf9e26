// SPDX-License-Identifier: GPL-2.0-or-later
// Xen's security advisories that no other test is about: each test says which. docs/security.md has all.
#include <algorithm>
#include <cerrno>

#include "logged_text.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::op_code;
using platform::sim::domain_holdings;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

constexpr auto quarantine = platform::domid_io;
constexpr std::uint32_t decode_bits = pci::reg::command_memory | pci::reg::command_io;

struct advised : two_cards {
  explicit advised(actors::settings settings = {}) : two_cards(std::move(settings)) { REQUIRE(hold(nic)); }
  void start() {
    domain = boot("guest", {nic});
    guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->connect());
    REQUIRE(driver(*guest, first_slot).probe(3));
    REQUIRE(masters(nic));
  }
  /// A toolstack that deletes its nodes: the guest lives on.
  void force_out() {
    REQUIRE(host.xenstore().remove(platform::sim::backend_path(domain)));
    REQUIRE(host.xenstore().remove("/libxl/pci/0000-00-03-0"));
  }
  [[nodiscard]] domain_id owner() { return host.xen().facts(nic)->owner; }
  pci::result<void> grant(const pci::sbdf& what, domain_id to) {
    return ask<void>(device(what), messages::grant_atom_v, to);
  }
  domain_id domain = 0;
  std::unique_ptr<frontend> guest;
};

/// A disk whose registers are above 4 GiB, at frames that have others with the same lower 20 bits.
constexpr std::uint64_t high_memory = 0x38'0020'0000;

struct high_disk : two_cards {
  high_disk() {
    auto model = platform::sim::place(*platform::sim::builtin_model("nvme"), high);
    auto& memory = model.resources[0];
    memory.end = high_memory + memory.size() - 1;
    memory.start = high_memory;
    for (unsigned i = 0; i < 8; ++i) {
      const auto low = i == 0 ? 0x04U : 0U; // a BAR of 64 bits
      model.config.at(pci::reg::bar0 + i) = static_cast<std::byte>((high_memory >> (8 * i) & 0xff) | low);
    }
    host.add_function(model, "nvme");
    REQUIRE(hold(high));
  }
  const pci::sbdf high = pci::make_sbdf(0, 0, 9, 0);
};

struct bounded : advised {
  bounded() { all->bounds = pci::resource_bounds(pci::resource_bounds::reserve + pci::resource_bounds::each_function); }
};

} // namespace

TEST_CASE_FIXTURE(advised, "XSA-43, XSA-130: what a guest has refused as often as it likes is ten lines a minute") {
  start();
  host.xen().fail_call("map_pirq", ENOSPC);
  const auto begin = host.time().now();
  const logged_text lines;
  for (int i = 0; i < 1000; ++i) {
    CHECK(guest->perform(guest->make(op_code::enable_msi, first_slot)).error == -5);
    auto too_many = guest->make(op_code::enable_msix, first_slot);
    too_many.value = 0;
    CHECK(guest->perform(too_many).error == -5);
  }
  const auto minutes = std::chrono::ceil<std::chrono::minutes>(host.time().now() - begin).count();
  CHECK(lines.count() > 0);
  CHECK(lines.count() <= 10 * minutes);
}

TEST_CASE_FIXTURE(advised,
                  "XSA-61: a guest has nothing of a function that Xen does not assign, not even for a moment") {
  const auto to = host.create_domain("guest");
  for (const int error : {ENOSYS, EOPNOTSUPP, ENODEV}) { // no IOMMU, in the words of each Xen
    CAPTURE(error);
    host.xen().fail_next(error); // the first thing that is asked of Xen for the guest
    const auto refused = grant(nic, to);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().error == error);
    CHECK(host.xen().holdings(to) == domain_holdings{});
    CHECK_FALSE(masters(nic));
    host.xen().fail_call("assign_device", error);
    CHECK_FALSE(attach("guest", nic));
    host.xen().fail_call("assign_device", 0);
    CHECK(host.xen().holdings(to) == domain_holdings{});
    CHECK_FALSE(backend_exists(to));
    CHECK_FALSE(masters(nic));
    check_clean(nic);
  }
  // Each right that is asked for after Xen's consent may be refused, and nothing before it is done.
  host.xen().fail_next(EPERM, 1);
  CHECK(grant(nic, to).error().error == EPERM);
  check_clean(nic);
  CHECK(host.xen().holdings(to) == domain_holdings{});
}

TEST_CASE_FIXTURE(advised, "XSA-120, its follow-up: a function decodes between two guests, and for one that does not") {
  CHECK((hardware(nic, pci::reg::command, 2) & decode_bits) == decode_bits);
  start();
  REQUIRE(guest->write(first_slot, pci::reg::command, 2, 0).good());
  CHECK((guest->read(first_slot, pci::reg::command, 2).value & decode_bits) == 0);
  CHECK((hardware(nic, pci::reg::command, 2) & decode_bits) == decode_bits);
  const auto resets = host.xen().facts(nic)->resets;
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  CHECK(host.xen().facts(nic)->resets > resets); // which has taken it
  CHECK((hardware(nic, pci::reg::command, 2) & decode_bits) == decode_bits);
  boot("next", {nic});
  CHECK((hardware(nic, pci::reg::command, 2) & decode_bits) == decode_bits);
}

TEST_CASE_FIXTURE(advised, "XSA-164: an entry beyond the table is nobody's, whatever its number") {
  start();
  REQUIRE(guest->disable(first_slot).good());
  const auto asks = [&](std::uint16_t entry) {
    auto what = guest->make(op_code::enable_msix, first_slot);
    what.value = 1;
    what.msix_entries[0] = {0, entry};
    return guest->perform(what);
  };
  constexpr std::uint16_t table_size = 5;
  const auto calls = host.xen().hypercalls();
  for (std::uint32_t entry = table_size; entry <= 0xffff; entry = entry < 300 ? entry + 1 : entry * 2 - 1) {
    CAPTURE(entry);
    CHECK(asks(static_cast<std::uint16_t>(entry)).error == -5);
  }
  CHECK(asks(0xffff).error == -5);
  CHECK(host.xen().hypercalls() == calls); // Xen, which keeps a state for each, is not even asked
  CHECK(holding_pirqs(domain) == 0);
  CHECK(asks(table_size - 1).good());
  CHECK(holding_pirqs(domain) == 1);
}

TEST_CASE_FIXTURE(advised, "XSA-302, XSA-306: from its hold to its release a function is never in dom0's tables") {
  CHECK(owner() == quarantine);
  for (int round = 0; round < 2; ++round) {
    start();
    round == 0 ? host.toolstack_destroy(domain) : force_out();
    while (step()) {
      const auto whose = owner();
      CHECK((whose == quarantine || (round == 1 && whose == domain)));
    }
    check_clean(nic);
    guest.reset();
  }
}

TEST_CASE_FIXTURE(advised, "XSA-302, XSA-306: dom0 gets a function back that does no more DMA and was reset") {
  start();
  const auto resets = host.xen().facts(nic)->resets;
  SUBCASE("that is clean") {
    host.toolstack_destroy(domain);
    run();
    check_clean(nic);
    CHECK(host.xen().facts(nic)->resets > resets);
  }
  SUBCASE("that failed") {
    host.xen().stick(nic, 0xa2, pci::reg::msix_enable);
    host.toolstack_destroy(domain);
    run();
    REQUIRE(wait_until([&] { return function(nic).state == function_state::failed; }, 10s));
  }
  SUBCASE("whose bus mastering came back by itself") {
    host.toolstack_destroy(domain);
    run();
    check_clean(nic);
    host.xen().set_register(nic, pci::reg::command, 2, decode_bits | pci::reg::command_master);
  }
  REQUIRE(release(nic)); // the simulated Xen reports what still masters the bus then
  CHECK(owner() == 0);
}

TEST_CASE_FIXTURE(advised,
                  "XSA-337: where BARs and tables are was read before the first guest, and from no register since") {
  start();
  REQUIRE(guest->disable(first_slot).good());
  const auto reference = host.pci().describe(nic).value();
  const auto base = static_cast<std::uint32_t>(reference.resources[3].start);
  for (unsigned bar = 0; bar < 6; ++bar) {
    host.xen().set_register(nic, static_cast<std::uint16_t>(pci::reg::bar0 + 4 * bar), 4, 0x66600000);
  }
  const auto msix = capability(nic, pci::reg::cap_msix);
  host.xen().set_register(nic, static_cast<std::uint16_t>(msix + pci::reg::msix_table), 4, 0x00666003);
  CHECK(guest->read(first_slot, pci::reg::bar0 + 12, 4).value == base);
  CHECK(guest->read(first_slot, msix + static_cast<std::int32_t>(pci::reg::msix_table), 4).value != 0x00666003);
  CHECK(guest->enable_msix(first_slot, {0, 1, 2}).good()); // Xen is told the base that it knows
  CHECK(holding_pirqs(domain) == 3);
  force_out();
  run();
  const auto left = host.xen().holdings(domain); // the line is its toolstack's to take
  CHECK(left.frames == 0);
  CHECK(left.ports == 0);
  CHECK(left.message_pirqs.empty());
  CHECK(left.functions.empty());
}

TEST_CASE_FIXTURE(advised, "XSA-386, XSA-400: a function is quiet before Xen takes its guest's tables from it") {
  host.xen().share_reserved_memory(nic);
  SUBCASE("Xen cannot: it goes to nobody") {
    domain = host.create_domain("guest");
    const messages::attach_options relaxed{pci::rdm_policy::relaxed};
    REQUIRE(ask<messages::attach_options>(device(nic), messages::grant_atom_v, domain, relaxed));
    host.xen().set_register(nic, pci::reg::command, 2, decode_bits | pci::reg::command_master); // its device model
    host.xen().fail_call("deassign_device", EIO);
    caf::anon_send(device(nic), messages::revoke_atom_v, domain);
    REQUIRE(wait_until([&] { return function(nic).state == function_state::failed; }, 20s));
    CHECK(owner() == domain);
    CHECK_FALSE(masters(nic));
    const auto other = host.create_domain("other");
    CHECK_FALSE(ask<messages::attach_options>(device(nic), messages::grant_atom_v, other, relaxed));
    CHECK(release(nic).error().error == EBUSY);
    host.xen().fail_call("deassign_device", 0);
    REQUIRE(retry(nic));
    check_clean(nic);
  }
  SUBCASE("nobody is given reserved memory that others share unless that was said") {
    const auto to = host.create_domain("guest");
    CHECK(grant(nic, to).error().error == EPERM);
    CHECK(host.xen().holdings(to) == domain_holdings{});
    check_clean(nic);
  }
}

TEST_CASE_FIXTURE(high_disk, "XSA-476: memory above 4 GiB is taken from the guest that it was given to, all of it") {
  const auto to = host.create_domain("guest");
  constexpr auto frame = high_memory >> 12;
  REQUIRE(ask<void>(device(high), messages::grant_atom_v, to));
  CHECK(host.xen().may_access(to, frame));
  CHECK(host.xen().may_access(to, frame + 3));
  CHECK_FALSE(host.xen().may_access(to, frame & 0xfffff));
  REQUIRE(ask<void>(device(high), messages::revoke_atom_v, to));
  CHECK_FALSE(host.xen().may_access(to, frame));
  CHECK_FALSE(host.xen().may_access(to, frame + 3));
  CHECK(host.xen().holdings(to) == domain_holdings{});
}

TEST_CASE_FIXTURE(advised, "XSA-492: no operation of a guest's takes Xen's lock of the toolstacks") {
  start();
  const auto calls = host.xen().hypercalls();
  for (int i = 0; i < 1000; ++i) {
    CHECK(guest->read(first_slot, 4 * (i % 64), 4).good());
    (void)guest->write(first_slot, 4 * (i % 64), 4, static_cast<std::uint32_t>(i));
    (void)guest->read(second_slot, 0, 4);
  }
  CHECK(host.xen().hypercalls() == calls);
  REQUIRE(guest->write(first_slot, capability(nic, pci::reg::cap_pm) + pci::reg::pmcsr, 2, 0).good()); // D0 again
  REQUIRE(guest->write(first_slot, pci::reg::command, 2, 6).good());
  for (const auto pirq : std::vector(guest->pirqs(first_slot))) {
    guest->unbind_pirq(pirq);
  }
  for (const auto* domctl : {"assign_device", "deassign_device", "test_assign_device", "iomem_permission",
                             "ioport_permission", "irq_permission", "pausedomain"}) {
    CAPTURE(domctl);
    host.xen().fail_call(domctl, EIO);
    CHECK(guest->enable_msix(first_slot, {0, 1}).good());
    CHECK(guest->disable(first_slot).good());
    CHECK(guest->enable_msi(first_slot).good());
    CHECK(guest->disable(first_slot).good());
    host.xen().fail_call(domctl, 0);
  }
}

TEST_CASE_FIXTURE(bounded, "resource bounds: a function that there are no descriptors for is refused, with the cure") {
  const auto refused = hold(disk);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == ENFILE);
  for (const auto* words : {"0000:00:04.0", "function number 2", "132 files", "LimitNOFILE"}) {
    CHECK_MESSAGE(refused.error().context.find(words) != std::string::npos, refused.error().context);
  }
  CHECK(host.xen().facts(disk)->driver == "nvme");
  start(); // what is held has its guest
  CHECK(guest->read(first_slot, 0, 4).good());
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  REQUIRE(release(nic));
  CHECK(hold(disk));
}

TEST_SUITE_END();
