// SPDX-License-Identifier: GPL-2.0-or-later
// `list` and `explain` on a simulated host: what the daemon tells, and what pcibackctl makes of it.
#include <nlohmann/json.hpp>

#include "actors/control/explanation_json.hpp"
#include "actors/control/overview_json.hpp"
#include "actors/control/verdict.hpp"
#include "pass.hpp"
#include "tools/pcibackctl/table.hpp"
#include "two_cards.hpp"

using namespace test;
using actors::control::verdict_kind;
using messages::wish_gap;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

const auto nowhere = pci::make_sbdf(0, 0, 9, 0);

std::string card_name(const std::string& vendor, const std::string& device) {
  return vendor == "8086" && device == "10d3" ? "Intel 82574L" : "";
}

struct asked : two_cards {
  explicit asked(actors::settings settings = {}) : two_cards(std::move(settings)) {}

  messages::overview list() { return ask<messages::overview>(root, messages::list_atom_v).value(); }
  std::string table() {
    return client_program::table_of(actors::control::json_of(list()).dump(), {}, card_name).value();
  }
  template <class What>
  pci::result<messages::explanation> explain(const What& what) {
    return ask<messages::explanation>(root, messages::explain_atom_v, what);
  }
  pci::result<messages::explanation> explain_guest(const std::string& name) {
    return explain(messages::domain_name{name});
  }
  template <class What>
  actors::control::verdict verdict(const What& what) {
    return actors::control::verdict_of(explain(what).value());
  }
  template <class What>
  std::string text(const What& what) {
    return client_program::explanation_of(actors::control::json_of(explain(what).value()).dump(), {}, card_name)
        .value();
  }
};

actors::settings assigning(const char* guest, std::initializer_list<pci::sbdf> devices) {
  actors::settings settings;
  settings.assignments = {{guest, devices}};
  return settings;
}

struct misspelt : asked {
  misspelt() : asked(assigning("wbe", {nic})) {}
};
struct web_assigned : asked {
  web_assigned() : asked(assigning("web", {nic})) {}
};
struct assigned_nowhere : asked {
  assigned_nowhere() : asked(assigning("web", {nowhere})) {}
};
struct wrongly_pinned : asked {
  static actors::settings pinned() {
    actors::settings settings;
    settings.own(nic).pin = pci::pin{.ids = pci::parse_ids("8086:1533").value(), .board = {}, .serial = {}};
    settings.own(nic).seize = true;
    return settings;
  }
  wrongly_pinned() : asked(pinned()) {}
};

std::string line_with(const std::string& text, const std::string& start) {
  const auto from = text.find(start);
  return from == std::string::npos ? std::string{} : text.substr(from, text.find('\n', from) - from);
}

} // namespace

TEST_CASE_FIXTURE(misspelt, "explain: a typo in the domain of an [[assign]]") {
  REQUIRE(hold(nic));
  host.create_domain("web");
  run();
  const auto found = verdict(nic);
  CHECK(found.kind == verdict_kind::no_guest);
  CHECK(found.command == "pcibackctl attach web 0000:00:03.0");
  const auto of_guest = verdict(messages::domain_name{"web"});
  CHECK(of_guest.kind == verdict_kind::no_guest);
  CHECK(of_guest.command == "pcibackctl attach web 0000:00:03.0");
  CHECK(verdict(messages::domain_name{"wbe"}).command == "pcibackctl attach web 0000:00:03.0");
  const auto unmet = list().unmet;
  REQUIRE(unmet.size() == 1);
  CHECK(unmet.front().gap == wish_gap::no_guest);
  CHECK(unmet.front().why == "no guest called \"wbe\" runs; did you mean \"web\"?");
  CHECK(table().find("assigned to \"wbe\": no guest called \"wbe\" runs; did you mean \"web\"?\n") !=
        std::string::npos);
  // And the command mends it.
  REQUIRE(attach("web", nic));
  CHECK(verdict(nic).kind != verdict_kind::no_guest);
}

TEST_CASE_FIXTURE(web_assigned, "explain: an assigned function that is not held") {
  host.create_domain("web");
  run();
  const auto found = verdict(nic);
  CHECK(found.kind == verdict_kind::not_held);
  CHECK(found.command == "pcibackctl hold 0000:00:03.0 --seize");
  CHECK(found.text.find("dom0's driver e1000e has it, so \"web\" cannot get it") != std::string::npos);
  CHECK(verdict(messages::domain_name{"web"}).kind == verdict_kind::not_held);
  const auto unmet = list().unmet;
  REQUIRE(unmet.size() == 1);
  CHECK(unmet.front().gap == wish_gap::not_held);
  CHECK(unmet.front().driver == "e1000e");
  CHECK(table() ==
        "Vdev  Device        Guest  State     Xenbus  Driver  Mode  Vectors  Guard  Writes  Operations  Name  "
        "Detail\n"
        "-     0000:00:03.0  web    not held  -       e1000e  -     -        -      -       -           -     "
        "dom0's driver e1000e has it\n");
  REQUIRE(hold(nic));
  CHECK(verdict(nic).kind == verdict_kind::not_given);
  CHECK(verdict(nic).command == "pcibackctl attach web 0000:00:03.0");
  REQUIRE(attach("web", nic));
  CHECK(list().unmet.empty());
}

TEST_CASE_FIXTURE(assigned_nowhere, "explain: an address that is not there") {
  host.create_domain("web");
  run();
  const auto found = verdict(nowhere);
  CHECK(found.kind == verdict_kind::absent);
  CHECK(found.text.find("the host has no function at 0000:00:09.0 (on its bus: 0000:00:03.0, 0000:00:04.0)") == 0);
  CHECK(found.command == "lspci -D");
  CHECK(verdict(messages::domain_name{"web"}).kind == verdict_kind::absent);
  CHECK(list().unmet.front().gap == wish_gap::absent);
  CHECK(line_with(table(), "-     0000:00:09.0").find("absent") != std::string::npos);
}

TEST_CASE_FIXTURE(wrongly_pinned, "explain: a pin that is another card's") {
  const auto refused = hold(nic);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EPERM);
  const auto found = verdict(nic);
  CHECK(found.kind == verdict_kind::wrong_pin);
  CHECK(found.command == "systemctl restart pcibackd");
  CHECK(found.text.find("8086:10d3") != std::string::npos);
  CHECK(line_with(table(), "-     0000:00:03.0").find("refused") != std::string::npos);
  REQUIRE(list().unmet.size() == 1);
}

TEST_CASE_FIXTURE(web_assigned, "explain: the whole way of a function that works") {
  REQUIRE(hold(nic));
  const auto domain = host.create_domain("web");
  REQUIRE(wait_until([&] { return backend(domain, "num_devs") == "1" && function(nic).virtual_address; },
                     std::chrono::seconds(20)));
  CHECK(verdict(nic).kind == verdict_kind::no_frontend);
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  REQUIRE(driver(guest, first_slot).probe(2));
  const auto found = explain(nic).value();
  REQUIRE(found.functions.size() == 1);
  CHECK(found.functions.front().assigned->domain == domain);
  CHECK(found.functions.front().previous_driver == "e1000e");
  CHECK(found.functions.front().registers);
  CHECK(found.functions.front().guest->vectors == 2);
  CHECK(explain_guest("web").value().functions.size() == 1);
  CHECK(explain_guest(fmt::format("{}", domain)).value().asked == "web");
  const auto told = text(nic);
  INFO(told);
  CHECK(line_with(told, "0000:00:03.0") == "0000:00:03.0  Intel 82574L  [8086:10d3]");
  CHECK(line_with(told, "  settings") == fmt::format("  settings    no [[device]] matches it; assigned to \"web\" "
                                                     "(domain {})",
                                                     domain));
  CHECK(line_with(told, "  host") == "  host        driver pci-stub, taken from e1000e");
  CHECK(line_with(told, "  state") == "  state       leased");
  CHECK(line_with(told, "  guest") == fmt::format("  guest       web ({}), sees it at 0000:00:00.0", domain));
  CHECK(line_with(told, "  xenbus") == "  xenbus      backend connected, frontend connected");
  CHECK(line_with(told, "  vectors").find("msix, pirq ") != std::string::npos);
  CHECK(line_with(told, "  work") == "  work        57 operations, 1 answered with an error, 1 writes refused");
  CHECK(told.ends_with(fmt::format("verdict: web ({}) has 0000:00:03.0, and it works; 1 of the guest's writes did not "
                                   "get through.\n    pcibackctl writes 0000:00:03.0\n",
                                   domain)));
  const auto row = line_with(table(), "00.0");
  INFO(row);
  CHECK(row.find(fmt::format("web ({})", domain)) != std::string::npos);
  CHECK(row.find("leased  connected  pci-stub") != std::string::npos);
}

TEST_CASE_FIXTURE(web_assigned, "explain: who is unknown is told with the nearest name, and dom0 is no guest") {
  host.create_domain("mail");
  run();
  const auto wrong = explain_guest("mali");
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error() == pci::failure{ESRCH, "no guest called \"mali\" runs, and no [[assign]] names it; did you mean "
                                             "\"mail\"?"});
  CHECK(explain_guest("xyzzy").error().context ==
        "no guest called \"xyzzy\" runs, and no [[assign]] names it; `xl list` shows those that run");
  CHECK(explain_guest("0").error().error == EINVAL);
  CHECK(verdict(messages::domain_name{"mail"}).kind == verdict_kind::not_assigned);
  CHECK(text(messages::domain_name{"web"}).find("\"web\" does not run\n") == 0);
}

TEST_CASE_FIXTURE(asked, "explain: what went wrong is remembered until it goes right, and no longer than that") {
  REQUIRE_FALSE(hold(nic, false));
  auto troubles = explain(nic).value().functions.front().troubles;
  REQUIRE(troubles.size() == 1);
  CHECK(troubles.front().what.find("e1000e") != std::string::npos);
  pass(*this, std::chrono::seconds(5));
  CHECK(explain(nic).value().functions.front().troubles.front().ago == std::chrono::seconds(5));
  CHECK(text(nic).find("  trouble     5 s ago: ") != std::string::npos);
  REQUIRE(hold(nic));
  CHECK(explain(nic).value().functions.front().troubles.empty());
  CHECK(verdict(nic).kind == verdict_kind::free);
}

TEST_CASE_FIXTURE(asked, "what is so already is told by errno, so that a client can take it for a success") {
  REQUIRE(hold(nic));
  CHECK(hold(nic).error() == pci::failure{EEXIST, "0000:00:03.0 is held already"});
  const auto domain = host.create_domain("web");
  REQUIRE(attach("web", nic));
  CHECK(attach("web", nic).error() == pci::failure{EEXIST, fmt::format("web ({}) has 0000:00:03.0 already", domain)});
  const auto other = host.create_domain("mail");
  CHECK(attach("mail", nic).error().error == EBUSY);
  CHECK(function(nic).domain == domain);
  CHECK(other != domain);
}

TEST_CASE("what went wrong is kept within bounds") {
  using std::chrono::seconds;
  actors::troubles all;
  for (int number = 0; number < 20; ++number) {
    all.note(nic, seconds(number), fmt::format("{}", number));
  }
  all.note(nic, seconds(30), "15");
  const auto of = all.of(nic, seconds(31));
  REQUIRE(of.size() == actors::troubles::kept);
  CHECK(of.back().what == "15");
  CHECK(of.back().ago == seconds(1));
  CHECK(of.front().what == "12");
  for (unsigned number = 0; number < 1000; ++number) {
    all.note({static_cast<std::uint16_t>(number), 1, 0}, seconds(0), "x");
  }
  CHECK_FALSE(all.of({0, 1, 0}, seconds(0)).empty());
  CHECK(all.of({999, 1, 0}, seconds(0)).empty());
  all.forget(nic);
  CHECK(all.of(nic, seconds(0)).empty());
}

TEST_SUITE_END();
