// SPDX-License-Identifier: GPL-2.0-or-later
// The one verdict of `explain`: each thing that can stand in the way is found, and found before what follows from it.
#include <cerrno>
#include <functional>
#include <set>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "actors/control/verdict.hpp"

using namespace messages;
using actors::control::verdict_kind;
using actors::control::verdict_of;

namespace {

const auto judged = pci::make_sbdf(0, 3, 0, 0);

function_account in_dom0() {
  function_account account;
  account.address = judged;
  account.there = true;
  account.driver = "e1000e";
  return account;
}

function_account in_state(function_state state) {
  auto account = in_dom0();
  account.driver = "pci-stub";
  account.status.emplace();
  account.status->address = judged;
  account.status->state = state;
  return account;
}

function_account assigned_to(const char* guest, std::optional<domain_id> domain, const char* nearest = "") {
  auto account = in_state(function_state::held);
  account.assigned = assignment_account{guest, domain, nearest};
  return account;
}

guest_account web() {
  guest_account guest;
  guest.domain = 3;
  guest.name = "web";
  guest.words = "web (3)";
  guest.vector_limit = 32;
  guest.served.emplace();
  guest.served->backend = guest.served->frontend = pci::xenbus_state::connected;
  guest.served->connected = true;
  return guest;
}

/// A guest has it and all is well.
function_account leased() {
  auto account = in_state(function_state::leased);
  account.status->domain = domain_id{3};
  account.status->operations = 100;
  account.status->vectors = {{0, 55}};
  account.guest = web();
  return account;
}

using change = std::function<void(function_account&)>;
function_account with(function_account account, const change& what) {
  what(account);
  return account;
}

function_account unconnected(pci::xenbus_state backend, pci::xenbus_state frontend) {
  return with(leased(), [=](auto& is) {
    is.guest->served->connected = false;
    is.guest->served->backend = backend;
    is.guest->served->frontend = frontend;
  });
}

struct expectation {
  const char* about;
  function_account account;
  verdict_kind kind;
  const char* text;
  const char* command;
};

void check_all(const std::vector<expectation>& table) {
  for (const auto& each : table) {
    CAPTURE(each.about);
    const auto got = verdict_of(each.account);
    CHECK(to_string(got.kind) == to_string(each.kind));
    CHECK(got.text == each.text);
    CHECK(got.command == each.command);
  }
}

} // namespace

TEST_CASE("verdict: what the settings and the host have against it") {
  const auto absent = with({}, [](auto& is) { is.address = judged; });
  check_all({
      {"an address that is not there", absent, verdict_kind::absent, "the host has no function at 0000:03:00.0",
       "lspci -D"},
      {"and that is assigned, with others on its bus",
       with(absent,
            [](auto& is) {
              is.assigned = assignment_account{"web", {}, ""};
              is.slot_mates = {{pci::make_sbdf(0, 3, 1, 0), ""}};
            }),
       verdict_kind::absent,
       "the host has no function at 0000:03:00.0 (on its bus: 0000:03:01.0); correct the address in its [[assign]] to "
       "one that the host has",
       "lspci -D"},
      {"a wrong pin",
       with(in_dom0(),
            [](auto& is) {
              is.pin_mismatch = "it is 8086:10d3, and 8086:1533 is pinned";
              is.assigned = assignment_account{"web", {}, ""};
            }),
       verdict_kind::wrong_pin,
       "another card than the pinned one is at 0000:03:00.0: it is 8086:10d3, and 8086:1533 is pinned; if it is meant, "
       "correct pin in its [[device]], then restart pcibackd",
       "systemctl restart pcibackd"},
      {"dom0 runs from it", with(in_dom0(), [](auto& is) { is.objection = "dom0 needs it"; }), verdict_kind::must_not,
       "0000:03:00.0 must not be held: dom0 needs it", "pcibackctl hold 0000:03:00.0"},
      {"nobody wants it held", in_dom0(), verdict_kind::dom0s, "0000:03:00.0 is not held: dom0's driver e1000e has it",
       "pcibackctl hold 0000:03:00.0 --seize"},
      {"assigned, and not held",
       with(in_dom0(),
            [](auto& is) {
              is.assigned = assignment_account{"web", 3, ""};
            }),
       verdict_kind::not_held,
       "0000:03:00.0 is not held: dom0's driver e1000e has it, so \"web\" cannot get it; seize = true in a [[device]] "
       "for it takes it at each start",
       "pcibackctl hold 0000:03:00.0 --seize"},
      {"assigned, not held, without a driver",
       with(in_dom0(),
            [](auto& is) {
              is.assigned = assignment_account{"web", 3, ""};
              is.driver.clear();
            }),
       verdict_kind::not_held,
       "0000:03:00.0 is not held, so \"web\" cannot get it; a [[device]] for it holds it at each start",
       "pcibackctl hold 0000:03:00.0"},
      {"to be held, and something went wrong",
       with(in_dom0(),
            [](auto& is) {
              is.hold = is.seize = true;
              is.driver = "pci-stub";
              is.troubles = {{std::chrono::seconds(1), "the bus is stuck"}};
            }),
       verdict_kind::not_held, "0000:03:00.0 is not held: the bus is stuck", "pcibackctl hold 0000:03:00.0"},
  });
}

TEST_CASE("verdict: what its own state has against it") {
  const auto detailed = [](function_state state) {
    return with(in_state(state), [](auto& is) { is.status->detail = "the reset timed out"; });
  };
  check_all({
      {"removed", with(in_state(function_state::gone), [](auto& is) { is.there = false; }), verdict_kind::removed,
       "0000:03:00.0 was removed from the host", "echo 1 > /sys/bus/pci/rescan"},
      {"failed", detailed(function_state::failed), verdict_kind::failed,
       "0000:03:00.0 could not be shown to be clean, and goes to nobody: the reset timed out",
       "pcibackctl retry 0000:03:00.0"},
      {"scrubbing", detailed(function_state::scrubbing), verdict_kind::waits,
       "0000:03:00.0 is scrubbing: the reset timed out; it takes a minute at most", "pcibackctl explain 0000:03:00.0"},
      {"inherited", with(in_state(function_state::inherited), [](auto& is) { is.guest = web(); }),
       verdict_kind::inherited, "web (3) has 0000:03:00.0 from an earlier pcibackd, and this one does not serve it",
       "pcibackctl drain 0000:03:00.0"},
      {"for its last guest alone",
       with(in_state(function_state::held),
            [](auto& is) {
              is.status->reserved = true;
              is.status->last_guests = {4};
            }),
       verdict_kind::reserved, "0000:03:00.0 is clean, but goes to nobody else before its last guest has ended",
       "xl shutdown 4"},
      {"free", in_state(function_state::held), verdict_kind::free, "0000:03:00.0 is held, clean, and no guest has it",
       "pcibackctl attach GUEST 0000:03:00.0"},
  });
}

TEST_CASE("verdict: what keeps it from the guest that it is assigned to") {
  const auto running = with(assigned_to("web", domain_id{3}), [](auto& is) { is.guest = web(); });
  check_all({
      {"a typo", assigned_to("wbe", {}, "web"), verdict_kind::no_guest,
       "0000:03:00.0 is assigned to \"wbe\", and no guest of that name or UUID runs: correct domain in its [[assign]] "
       "if \"web\" is meant",
       "pcibackctl attach web 0000:03:00.0"},
      {"a name that a shell would take apart", assigned_to("my wbe", {}, "my web"), verdict_kind::no_guest,
       "0000:03:00.0 is assigned to \"my wbe\", and no guest of that name or UUID runs: correct domain in its "
       "[[assign]] if \"my web\" is meant",
       "pcibackctl attach 'my web' 0000:03:00.0"},
      {"not started", assigned_to("web", {}), verdict_kind::no_guest,
       "0000:03:00.0 is ready for \"web\", and no guest of that name or UUID runs", "xl list"},
      {"not given, nobody knows why", running, verdict_kind::not_given, "web (3) runs, but does not have 0000:03:00.0",
       "pcibackctl attach web 0000:03:00.0"},
      {"not given, for a reason",
       with(running,
            [](auto& is) {
              is.troubles = {{std::chrono::seconds(9), "first"}, {std::chrono::seconds(1), "there is no IOMMU"}};
            }),
       verdict_kind::not_given, "web (3) runs, but does not have 0000:03:00.0: there is no IOMMU",
       "pcibackctl attach web 0000:03:00.0"},
      {"an HVM guest", with(running, [](auto& is) { is.guest->hvm = true; }), verdict_kind::not_given,
       "web (3) runs, but does not have 0000:03:00.0", "pcibackd-with-sysfs xl pci-attach web 0000:03:00.0"},
      {"a PVH guest", with(running, [](auto& is) { is.guest->hvm = is.guest->pvh = true; }), verdict_kind::not_given,
       "web (3) is a PVH guest, and Xen gives those no functions", "xl list"},
  });
}

TEST_CASE("verdict: what of the host and of other functions keeps it from its guest") {
  const auto running = with(assigned_to("web", domain_id{3}), [](auto& is) { is.guest = web(); });
  const auto other = pci::make_sbdf(0, 4, 0, 0);
  const auto kind_of = [&](const change& what) { return to_string(verdict_of(with(running, what)).kind); };
  CHECK(kind_of([](auto& is) { is.no_iommu = true; }) == "no-iommu");
  CHECK(to_string(verdict_of(with(in_dom0(), [](auto& is) { is.no_iommu = true; })).kind) ==
        "dom0s"); // nobody wants it
  CHECK(to_string(verdict_of(with(in_dom0(), [](auto& is) {
                    is.no_iommu = true;
                    is.troubles = {{std::chrono::seconds(1), "it did not go into quarantine"}};
                  })).kind) == "no-iommu");
  const auto shares = [&](auto& is) { is.reserved = {{0x1000, 0x1fff, {judged, other}}}; };
  CHECK(kind_of(shares) == "reserved-memory");
  CHECK(kind_of([&](auto& is) { is.reserved = {{0x1000, 0x1fff, {judged}}}; }) == "not-given");
  CHECK(kind_of([&](auto& is) {
          shares(is);
          is.rdm_relaxed = true;
        }) == "not-given");
  CHECK(kind_of([&](auto& is) { is.page_mates = {{other, "e1000", {}, {}}}; }) == "shared-page");
  CHECK(kind_of([&](auto& is) { is.page_mates = {{other, "pci-stub", {}, {}}}; }) == "not-given");
  CHECK(kind_of([&](auto& is) { is.page_mates = {{other, "pci-stub", domain_id{4}, "mail (4)"}}; }) == "shared-page");
  CHECK(kind_of([&](auto& is) {
          is.page_mates = {{other, "e1000", {}, {}}};
          is.share_pages = true;
        }) == "not-given");
  // What was tried for another guest says nothing of this one.
  const auto refused = [](const char* whose, int error) {
    return [=](auto& is) {
      is.troubles = {{std::chrono::seconds(1), fmt::format("not for domain {}: no", whose), error}};
    };
  };
  CHECK(kind_of(refused("3", EOPNOTSUPP)) == "no-passthrough");
  CHECK(kind_of(refused("33", EOPNOTSUPP)) == "not-given");
  CHECK(kind_of(refused("3", EPERM)) == "not-given");
  // None of it is said of an HVM guest, for which xl is asked, nor where no guest runs.
  CHECK(kind_of([&](auto& is) {
          shares(is);
          is.guest->hvm = true;
        }) == "not-given");
  CHECK(to_string(verdict_of(with(assigned_to("web", {}), shares)).kind) == "no-guest");
}

TEST_CASE("verdict: a card that its guest's driver has not switched on") {
  const auto off = with(leased(), [](auto& is) {
    is.class_code = 0x020000;
    is.status->vectors.clear();
    is.command = 0x0003;
  });
  const auto kind_of = [&](const change& what) { return to_string(verdict_of(with(off, what)).kind); };
  CHECK(kind_of([](auto&) {}) == "no-driver");
  CHECK(kind_of([](auto& is) { is.command = 0x0007; }) == "works");
  CHECK(kind_of([](auto& is) { is.command.reset(); }) == "works"); // nobody knows
  CHECK(kind_of([](auto& is) { is.status->vectors = {{0, 55}}; }) == "works");
  CHECK(kind_of([](auto& is) { is.class_code = 0x070002; }) == "works"); // a serial port masters nothing
  CHECK(kind_of([](auto& is) { is.guest->hvm = true; }) == "works");     // its COMMAND is its device model's
  CHECK(kind_of([](auto& is) { is.status->operations = 0; }) == "untouched");
}

TEST_CASE("verdict: what is the matter with the guest that has it") {
  using pci::xenbus_state;
  check_all({
      {"all is well", leased(), verdict_kind::works, "web (3) has 0000:03:00.0, and it works", ""},
      {"another's",
       with(leased(),
            [](auto& is) {
              is.assigned = assignment_account{"mail", {}, ""};
            }),
       verdict_kind::not_given, "web (3) has 0000:03:00.0, which is assigned to \"mail\"",
       "pcibackctl drain 0000:03:00.0"},
      {"its own",
       with(leased(),
            [](auto& is) {
              is.assigned = assignment_account{"web", domain_id{3}, ""};
            }),
       verdict_kind::works, "web (3) has 0000:03:00.0, and it works", ""},
      {"shut down", with(leased(), [](auto& is) { is.guest->ended = true; }), verdict_kind::ended,
       "web (3) has shut down, and still has 0000:03:00.0", "xl destroy web"},
      {"paused", with(leased(), [](auto& is) { is.guest->paused = true; }), verdict_kind::paused,
       "web (3) is paused, so its driver does nothing", "xl unpause web"},
      {"its frontend complains", with(leased(), [](auto& is) { is.guest->served->frontend_error = "22 no magic"; }),
       verdict_kind::frontend_error, "the PCI frontend of web (3) says: 22 no magic", "xl console web"},
      {"not served",
       with(unconnected(xenbus_state::init_wait, xenbus_state::initialised),
            [](auto& is) { is.guest->backend_error = "16 in use"; }),
       verdict_kind::backend_error, "web (3) is not served: 16 in use", "pcibackctl drain web"},
      {"no frontend", unconnected(xenbus_state::init_wait, xenbus_state::initialising), verdict_kind::no_frontend,
       "web (3) has 0000:03:00.0, but no PCI frontend of it answers: its kernel needs xen-pcifront "
       "(CONFIG_XEN_PCIDEV_FRONTEND), or has not got that far",
       "xl console web"},
      {"no backend directory", with(leased(), [](auto& is) { is.guest->served.reset(); }), verdict_kind::no_frontend,
       "web (3) has 0000:03:00.0, but no PCI frontend of it answers: its kernel needs xen-pcifront "
       "(CONFIG_XEN_PCIDEV_FRONTEND), or has not got that far",
       "xl console web"},
      {"connecting", unconnected(xenbus_state::init_wait, xenbus_state::initialised), verdict_kind::waits,
       "web (3) is connecting (backend InitWait, frontend Initialised)", "pcibackctl explain 0000:03:00.0"},
      {"an HVM guest has no frontend",
       with(leased(),
            [](auto& is) {
              is.guest->hvm = true;
              is.guest->served.reset();
              is.status->operations = 0;
            }),
       verdict_kind::works, "web (3) has 0000:03:00.0, and it works", ""},
      {"no vectors are left",
       with(leased(),
            [](auto& is) {
              is.status->vectors.clear();
              is.guest->vectors = 32;
            }),
       verdict_kind::no_vectors,
       "web (3) uses all 32 interrupt vectors that Xen gives a guest, and none is left for 0000:03:00.0; put "
       "extra_guest_irqs=128 on Xen's command line and restart the host",
       "xl dmesg | grep -i 'command line'"},
      {"it has its own of them", with(leased(), [](auto& is) { is.guest->vectors = 32; }), verdict_kind::works,
       "web (3) has 0000:03:00.0, and it works", ""},
      {"an error",
       with(leased(),
            [](auto& is) {
              is.status->errors.failed = 1;
              is.status->errors.last = "fatal: Malformed TLP";
            }),
       verdict_kind::unrecovered,
       "0000:03:00.0 reported an error from which web (3) did not recover: fatal: Malformed TLP",
       "pcibackctl drain 0000:03:00.0"},
      {"a storm",
       with(leased(),
            [](auto& is) {
              is.status->storm = true;
              is.status->gsi = 21;
            }),
       verdict_kind::storm, "0000:03:00.0 raises too many interrupts on line 21, which are let through with pauses",
       "pcibackctl lines"},
      {"untouched", with(leased(), [](auto& is) { is.status->operations = 0; }), verdict_kind::untouched,
       "web (3) has 0000:03:00.0, and nothing in it has looked at it yet: its kernel needs the card's driver",
       "xl console web"},
      {"writes in vain", with(leased(), [](auto& is) { is.status->refused_writes = 7; }), verdict_kind::refused_writes,
       "web (3) has 0000:03:00.0, and it works; 7 of the guest's writes did not get through",
       "pcibackctl writes 0000:03:00.0"},
      {"a guest of which nothing is known", with(leased(), [](auto& is) { is.guest.reset(); }), verdict_kind::works,
       "domain 3 has 0000:03:00.0, and it works", ""},
  });
}

TEST_CASE("verdict: of several things the one that comes first on the way, of several functions the worst") {
  auto everything = with(in_dom0(), [](auto& is) {
    is.pin_mismatch = "another";
    is.objection = "dom0 needs it";
    is.assigned = assignment_account{"wbe", {}, "web"};
  });
  CHECK(verdict_of(everything).kind == verdict_kind::wrong_pin);
  everything.there = false;
  CHECK(verdict_of(everything).kind == verdict_kind::absent);

  explanation all;
  all.functions = {leased(), in_state(function_state::failed), in_state(function_state::held)};
  CHECK(verdict_of(all).kind == verdict_kind::failed);
  all.functions = {leased(), in_state(function_state::held)};
  CHECK(verdict_of(all).kind == verdict_kind::free);
}

TEST_CASE("verdict: of a guest that has no function") {
  explanation all;
  all.asked = "web";
  all.guest = web();
  CHECK(verdict_of(all).text == "web (3) has no function, and no [[assign]] names it");
  CHECK(verdict_of(all).command == "pcibackctl attach web BDF");
  all.nearest = "wbe";
  all.misassigned = {judged};
  CHECK(verdict_of(all).kind == verdict_kind::no_guest);
  CHECK(verdict_of(all).text ==
        "no [[assign]] names web (3); one names \"wbe\", which does not run: correct its domain if \"web\" is meant");
  CHECK(verdict_of(all).command == "pcibackctl attach web 0000:03:00.0");
}

TEST_CASE("verdict: each kind has a word of its own") {
  std::set<std::string_view> words;
  for (int kind = 0; kind <= static_cast<int>(verdict_kind::works); ++kind) {
    words.insert(to_string(static_cast<verdict_kind>(kind)));
  }
  CHECK(words.size() == static_cast<std::size_t>(verdict_kind::works) + 1);
  CHECK(to_string(verdict_kind::works) == "works");
}
