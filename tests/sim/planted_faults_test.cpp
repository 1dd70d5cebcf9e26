// SPDX-License-Identifier: GPL-2.0-or-later
// Faults that keep a guest from its function, each planted on the simulated host: `explain` names each, and what it
// says mends it does. (Four mistakes in the settings are in explain_test.cpp.)
#include <nlohmann/json.hpp>

#include "actors/control/explanation_json.hpp"
#include "actors/control/verdict.hpp"
#include "tools/pcibackctl/table.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using actors::control::verdict_kind;
using messages::function_state;
using platform::sim::builtin_model;
using platform::sim::driver;
using platform::sim::frontend;
using platform::sim::place;

TEST_SUITE_BEGIN("deterministic");

namespace {

const auto page_mate = pci::make_sbdf(0, 0, 6, 0);
const auto paged = pci::make_sbdf(0, 0, 7, 0);

struct planted : two_cards {
  explicit planted(const pci::sbdf& assigned = nic) : two_cards(assigning(assigned)) {}
  static actors::settings assigning(const pci::sbdf& what) {
    actors::settings settings;
    settings.assignments = {{"web", {what}}};
    return settings;
  }
  /// By the verdict's word: each kind has one of its own.
  std::string kind(const pci::sbdf& what) { return std::string{to_string(verdict(what).kind)}; }
  actors::control::verdict verdict(const pci::sbdf& what) { return actors::control::verdict_of(explained(what)); }
  messages::explanation explained(const pci::sbdf& what) {
    return ask<messages::explanation>(root, messages::explain_atom_v, what).value();
  }
  /// What `pcibackctl explain` prints ends with the verdict and the command.
  void check_printed(const pci::sbdf& what) {
    const auto printed =
        client_program::explanation_of(actors::control::json_of(explained(what)).dump(), {}, {}).value();
    const auto last = verdict(what);
    CHECK_MESSAGE(printed.ends_with(fmt::format("verdict: {}.\n    {}\n", last.text, last.command)), printed);
  }
  bool is_the_guests(const pci::sbdf& what) {
    return wait_until([&] { return function(what).virtual_address.has_value(); }, 20s);
  }
};

/// Two cards whose only BARs, 2 KiB each, are the halves of a page; the second is assigned.
struct planted_page : planted {
  planted_page() : planted(paged) {
    for (const auto& [address, start] :
         {std::pair{page_mate, std::uint64_t{0xfe123000}}, std::pair{paged, std::uint64_t{0xfe123800}}}) {
      auto model = place(*builtin_model("e1000"), address);
      model.resources = {};
      model.resources[0] = {start, start + 0x7ff, pci::resource::memory};
      model.irq = 0;
      host.add_function(model, "e1000");
    }
  }
};

} // namespace

TEST_CASE_FIXTURE(planted, "planted: Xen drives no IOMMU") {
  host.xen().drive_no_iommu();
  CHECK_FALSE(hold(nic));
  host.create_domain("web");
  run();
  CHECK(kind(nic) == "no-iommu");
  const auto found = verdict(nic);
  CHECK(found.text.find("turn on VT-d or AMD-Vi in the firmware") != std::string::npos);
  CHECK(found.command.starts_with("xl dmesg | grep "));
  check_printed(nic);
  // A function of dom0's that nobody wants is none of it.
  CHECK(kind(disk) == "dom0s");
  host.xen().drive_no_iommu(false);
  CHECK(kind(nic) != "no-iommu");
}

TEST_CASE_FIXTURE(planted, "planted: reserved memory (RMRR) that another function uses too") {
  host.pci().set_reserved_regions({{0x7a000000, 0x7a7fffff, {nic, disk}}});
  host.xen().share_reserved_memory(nic);
  REQUIRE(hold(nic));
  host.create_domain("web");
  advance(1s);
  CHECK(kind(nic) == "reserved-memory");
  const auto found = verdict(nic);
  CHECK(found.text.find("(RMRR) with 0000:00:04.0") != std::string::npos);
  CHECK(found.text.find("put rdm = \"relaxed\" into its [[device]]") != std::string::npos);
  CHECK(found.command == "pcibackctl attach --rdm relaxed web 0000:00:03.0");
  check_printed(nic);
  REQUIRE(ask<pci::sbdf>(root, messages::attach_atom_v, find_guest("web").value(), nic,
                         messages::attach_options{pci::rdm_policy::relaxed}));
  CHECK(is_the_guests(nic));
  CHECK(kind(nic) == "no-frontend"); // the guest has no kernel here
}

TEST_CASE_FIXTURE(planted, "planted: reserved memory of a function's own is in nobody's way") {
  host.pci().set_reserved_regions({{0x7a000000, 0x7a7fffff, {nic}}});
  REQUIRE(hold(nic));
  CHECK(kind(nic) == "no-guest");
  host.create_domain("web");
  CHECK(is_the_guests(nic));
}

TEST_CASE_FIXTURE(planted_page, "planted: a page that a driver of dom0's has registers in, and then a guest") {
  REQUIRE(hold(paged));
  const auto web = host.create_domain("web");
  advance(1s);
  CHECK(kind(paged) == "shared-page");
  auto found = verdict(paged);
  CHECK(found.text.find("in the same page as 0000:00:06.0: dom0's driver e1000 has that") != std::string::npos);
  CHECK(found.text.find("share_pages = true") != std::string::npos);
  CHECK(found.command == "pcibackctl hold 0000:00:06.0 --seize");
  check_printed(paged);
  REQUIRE(hold(page_mate));
  CHECK(kind(paged) == "not-given");
  CHECK(verdict(paged).command == "pcibackctl attach web 0000:00:07.0");

  const auto mail = host.create_domain("mail");
  REQUIRE(attach("mail", page_mate));
  advance(1s);
  CHECK(kind(paged) == "shared-page");
  found = verdict(paged);
  CHECK(found.text.find(fmt::format("mail ({}) has that; give both to one guest", mail)) != std::string::npos);
  CHECK(found.command == "pcibackctl reload && pcibackctl attach web 0000:00:07.0");
  check_printed(paged);
  REQUIRE(detach("mail", page_mate));
  REQUIRE(attach("web", page_mate));
  REQUIRE(attach("web", paged)); // one guest has both
  CHECK(function(paged).domain == web);
}

TEST_CASE_FIXTURE(planted, "planted: a guest without passthrough and e820_host") {
  REQUIRE(hold(nic));
  const auto plain =
      host.create_domain(platform::sim::domain_options{.name = "web", .target = {}, .uuid = {}, .passthrough = false});
  advance(1s);
  CHECK(kind(nic) == "no-passthrough");
  const auto found = verdict(nic);
  CHECK(found.text.find("put passthrough=\"enabled\" and e820_host=1 into its xl configuration") != std::string::npos);
  CHECK(found.command == "xl shutdown -w web && xl create CONFIGURATION");
  check_printed(nic);
  host.toolstack_destroy(plain);
  advance(1s);
  CHECK(kind(nic) == "no-guest");
  host.create_domain("web"); // as one is built with these two
  CHECK(is_the_guests(nic));
}

TEST_CASE_FIXTURE(planted, "planted: no pirq is left for the guest's second function") {
  // A card with as many vectors as Xen gives a guest.
  auto greedy = place(*builtin_model("nvme"), page_mate);
  const auto byte_at = [&greedy](std::size_t at) { return std::to_integer<std::size_t>(greedy.config.at(at)); };
  auto at = byte_at(0x34);
  while (at != 0 && byte_at(at) != pci::reg::cap_msix) {
    at = byte_at(at + 1);
  }
  REQUIRE(at != 0);
  greedy.config[at + 2] = static_cast<std::byte>(host.xen().vectors_a_guest() - 1);
  host.add_function(greedy, "nvme");
  REQUIRE(hold(page_mate));
  REQUIRE(hold(nic));
  const auto web = host.create_domain("web");
  REQUIRE(is_the_guests(nic));
  REQUIRE(attach("web", page_mate));
  frontend guest(host, web, *this);
  REQUIRE(guest.connect());
  driver disk_driver(guest, *function(page_mate).virtual_address);
  REQUIRE(disk_driver.probe(static_cast<std::uint16_t>(host.xen().vectors_a_guest())));
  REQUIRE(disk_driver.pirqs().size() == host.xen().vectors_a_guest());
  driver card(guest, *function(nic).virtual_address);
  REQUIRE(card.probe(2));
  CHECK(card.kind() == driver::interrupt_kind::intx); // it makes do with the line
  CHECK(kind(nic) == "no-vectors");
  const auto found = verdict(nic);
  CHECK(found.text.find("put extra_guest_irqs=128 on Xen's command line and restart the host") != std::string::npos);
  check_printed(nic);
  CHECK(kind(page_mate) != "no-vectors"); // it has them
  disk_driver.remove();
  CHECK(kind(nic) != "no-vectors");
}

TEST_CASE_FIXTURE(planted, "planted: a driver in the guest that does not come up") {
  REQUIRE(hold(nic));
  const auto web = host.create_domain("web");
  REQUIRE(is_the_guests(nic));
  frontend guest(host, web, *this);
  REQUIRE(guest.connect());
  advance(1s);
  CHECK(kind(nic) == "no-driver");
  const auto found = verdict(nic);
  CHECK(found.text.find("\"Could not claim resource\"") != std::string::npos);
  CHECK(found.text.find("e820_host=1") != std::string::npos);
  CHECK(found.command == "xl console web");
  check_printed(nic);
  driver card(guest, first_slot);
  REQUIRE(card.probe(2));
  advance(1s);
  CHECK(kind(nic) != "no-driver");
  card.remove();
  advance(1s);
  CHECK(kind(nic) == "no-driver");
}

TEST_SUITE_END();
