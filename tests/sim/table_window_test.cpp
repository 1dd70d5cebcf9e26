// SPDX-License-Identifier: GPL-2.0-or-later
// Xen protects the pages of a function's MSI-X table only while the function is prepared, and looks only when a guest
// makes a page-table entry: a guest that runs must not have the right to one while the function is prepared anew.
#include "erring.hpp"
#include "pci/frames.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

constexpr std::uint16_t msix_control = 0xa2; // of the e1000e

/// A guest that uses INTx, and whose other processor tries to map the table whenever nothing protects it.
struct greedy_guest : two_cards {
  greedy_guest() {
    REQUIRE(hold(nic));
    table = pci::msix_frames(host.pci().describe(nic).value());
    REQUIRE_FALSE(table.empty());
    domain = boot("guest", {nic});
    guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->connect());
    watch(domain);
  }
  void watch(domain_id who) {
    host.xen().when_unprotected([this, who](const pci::sbdf&) {
      ++windows;
      for (const auto& range : table) {
        for (auto frame = range.first; frame < range.first + range.count; ++frame) {
          writable = host.xen().map_writable(who, frame) || writable;
        }
      }
    });
  }
  /// It happened, the guest got nothing by it, and lost nothing.
  void check_kept(domain_id who) {
    CHECK(windows > 0);
    CHECK_FALSE(writable);
    for (const auto& range : table) {
      CHECK(host.xen().may_access(who, range.first));
      CHECK_FALSE(host.xen().map_writable(who, range.first));
    }
  }
  void settle() {
    for (bool more = true; more;) {
      run();
      more = guest->service();
    }
    run();
  }
  std::vector<pci::frame_range> table;
  unsigned windows = 0;
  bool writable = false;
  domain_id domain = 0;
  std::unique_ptr<frontend> guest;
};

} // namespace

TEST_CASE_FIXTURE(greedy_guest, "the simulated Xen: an entry that is made in between stays writable") {
  REQUIRE(host.xen().may_access(domain, table.front().first));
  CHECK_FALSE(host.xen().map_writable(domain, table.front().first));
  const auto msix = platform::msix_function::seen_in(host.pci().describe(nic).value());
  REQUIRE(msix);
  sim_test::violations found;
  REQUIRE(host.xen().release_msix(*msix));
  CHECK(found.texts.size() == 1);
  CHECK(host.xen().map_writable(domain, table.front().first));
  REQUIRE(host.xen().prepare_msix(*msix));
  CHECK(found.texts.size() == 2);
}

TEST_CASE_FIXTURE(greedy_guest, "recovery from an error while the guest uses INTx") {
  guest->handle_aer([](const pci::wire::aer_operation& request) {
    return std::optional<std::int32_t>(request.cmd == detected ? need_reset : recovered);
  });
  host.inject_error(nic, pci::error_severity::fatal);
  settle();
  check_kept(domain);
  CHECK(driver(*guest, first_slot).probe(3));
}

TEST_CASE_FIXTURE(greedy_guest, "MSI-X is switched on while Xen masks the whole function") {
  REQUIRE(host.xen().config_write(nic, 0, pci::reg::command, 2, pci::reg::command_master));
  REQUIRE_FALSE(host.xen().map_msix(domain, nic, 3, host.pci().describe(nic)->resources[3].start));
  REQUIRE(host.xen().facts(nic)->poisoned);
  REQUIRE(host.xen().config_write(nic, 0, pci::reg::command, 2, pci::reg::command_memory | pci::reg::command_master));
  REQUIRE(host.xen().config_write(nic, 0, msix_control, 2, 0));
  CHECK(driver(*guest, first_slot).probe(3));
  check_kept(domain);
}

TEST_CASE_FIXTURE(greedy_guest, "the next guest starts while the function is still being scrubbed") {
  const auto whole = host.xen().holdings(domain).frames;
  const auto next = host.create_domain("next");
  bool given = false;
  host.pci().before_reset([&](const pci::sbdf&, pci::reset_method) {
    if (!std::exchange(given, true)) {
      REQUIRE(host.xenstore().remove("/libxl/pci/0000-00-03-0"));
      REQUIRE(host.toolstack_attach(next, nic, true));
    }
  });
  watch(next);
  windows = 0;
  guest.reset();
  host.toolstack_destroy(domain);
  run();
  REQUIRE(given);
  check_kept(next);
  frontend second(host, next, *this);
  REQUIRE(second.connect());
  CHECK(driver(second, first_slot).probe(3));
  CHECK(host.xen().holdings(next).frames == whole);
}

TEST_CASE_FIXTURE(greedy_guest, "a living guest that lets go of the function gets none of its pages again") {
  caf::scoped_actor asker(system, true);
  auto detached = asker->request(root, caf::infinite, messages::detach_atom_v, domain, nic);
  REQUIRE(serve(*guest, [&] { return asker->has_next_message(); }));
  detached.receive([] {}, [](caf::error& error) { FAIL(messages::to_failure(error, "").context); });
  CHECK(windows > 0);
  CHECK_FALSE(writable);
  CHECK(host.xen().holdings(domain).frames == 0);
}

TEST_SUITE_END();
