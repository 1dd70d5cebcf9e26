// SPDX-License-Identifier: GPL-2.0-or-later
// Functions that nobody has, in D3hot, and what dom0 gets back of how it manages their power.
#include "pci/config_space/power.hpp"
#include "restarted.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::power_policy;
using platform::sim::driver;
using platform::sim::frontend;

namespace {

actors::settings resting() {
  actors::settings all;
  all.power = power_policy::automatic;
  return all;
}

/// The network card, which forgets in D3hot what its registers were told, unless it is `kind`.
struct resting_card : deterministic_daemon {
  explicit resting_card(actors::settings settings = resting(), bool forgets = true)
      : deterministic_daemon(std::move(settings)) {
    auto model = platform::sim::place(*platform::sim::builtin_model("e1000e"), nic);
    model.loses_state_in_d3 = forgets;
    host.add_function(std::move(model), "e1000e");
    REQUIRE(hold(nic));
  }
  ~resting_card() override { CHECK(violations.texts.empty()); }

  bool sleeps() { return host.xen().facts(nic)->sleeps; }
  std::uint32_t first_bar() { return host.xen().config_read(nic, 0, 0x10, 4).value(); }

  sim_test::violations violations;
};

} // namespace

TEST_SUITE_BEGIN("deterministic");

TEST_CASE("a function that nobody has sleeps, and its guest finds it as it was") {
  for (const bool forgets : {false, true}) {
    CAPTURE(forgets);
    resting_card at(resting(), forgets);
    CHECK(at.function(nic).state == function_state::held);
    CHECK(at.sleeps());
    CHECK(at.function(nic).rests);
    const auto bar = at.first_bar();

    const auto domain = at.host.create_domain("guest");
    REQUIRE(at.ask_device<void>(nic, messages::grant_atom_v, domain));
    CHECK_FALSE(at.sleeps());
    REQUIRE(at.ask_device<void>(nic, messages::revoke_atom_v, domain));
    CHECK(at.wait_until_held(nic));
    CHECK(at.sleeps());

    REQUIRE(at.host.toolstack_attach(domain, nic, true));
    at.run();
    frontend guest(at.host, domain, at);
    REQUIRE(guest.connect());
    CHECK_FALSE(at.sleeps());
    CHECK_FALSE(at.function(nic).rests);
    CHECK(at.first_bar() == bar);
    REQUIRE(driver(guest, first_slot).probe(3));
    CHECK(at.host.xen().raise(nic, 2));

    at.host.toolstack_destroy(domain);
    at.run();
    CHECK(at.wait_until_held(nic));
    CHECK(at.sleeps());
    REQUIRE(at.release(nic));
    CHECK_FALSE(at.sleeps());
    CHECK(at.first_bar() == bar);
  }
}

TEST_CASE("without the setting, or with one that says otherwise, a function stays awake") {
  SUBCASE("by default") {
    resting_card at(actors::settings{});
    CHECK_FALSE(at.sleeps());
    CHECK_FALSE(at.function(nic).rests);
  }
  SUBCASE("by its own setting") {
    auto settings = resting();
    settings.own(nic).power = power_policy::d0;
    resting_card at(settings);
    CHECK_FALSE(at.sleeps());
  }
  SUBCASE("its own setting has it sleep") {
    actors::settings settings;
    settings.own(nic).power = power_policy::automatic;
    resting_card at(settings);
    CHECK(at.sleeps());
  }
}

TEST_CASE("a function that sleeps wakes and is scrubbed after a sleep of the host, and sleeps again") {
  resting_card at;
  SUBCASE("which took its registers") { at.host.sleep(); }
  SUBCASE("which left it as it was") { caf::anon_send(at.root, messages::resumed_atom_v); }
  at.run();
  CHECK(at.wait_until_held(nic));
  CHECK(at.sleeps());
  CHECK_FALSE(at.host.xen().facts(nic)->poisoned);
}

TEST_CASE("a function that does not come back from D3 is scrubbed, and given to nobody when that does not help") {
  resting_card at;
  const auto domain = at.host.create_domain("guest");
  at.host.xen().fail_config_write(nic, 0x10, EIO); // its BAR, which it has lost
  const auto granted = at.ask_device<void>(nic, messages::grant_atom_v, domain);
  REQUIRE_FALSE(granted);
  CHECK(granted.error().context.find("does not come back from D3") != std::string::npos);
  for (int i = 0; i < 100 && at.function(nic).state != function_state::failed; ++i) {
    at.advance(1s);
  }
  CHECK(at.function(nic).state == function_state::failed);
  at.host.xen().fail_config_write(nic, 0x10, 0);
  REQUIRE(at.ask_device<void>(nic, messages::retry_atom_v));
  CHECK(at.function(nic).state == function_state::held);
  CHECK(at.sleeps());
}

TEST_CASE_FIXTURE(restarted, "the next daemon finds a function asleep, and dom0 gets back how it managed its power") {
  all->configuration.change([](actors::settings& settings) { settings.power = power_policy::automatic; });
  REQUIRE(host.xen().facts(nic)->suspends == false);
  replace(); // an idle function is scrubbed, and sleeps then
  CHECK(wait_until_held(nic));
  CHECK(host.xen().facts(nic)->sleeps);
  replace();
  CHECK(wait_until_held(nic));
  CHECK(host.xen().facts(nic)->sleeps);
  REQUIRE(record().power);
  CHECK(record().power->enabled_here);
  REQUIRE(release(nic));
  CHECK_FALSE(host.xen().facts(nic)->sleeps);
  CHECK(host.xen().facts(nic)->suspends);
  CHECK(host.xen().facts(nic)->loses_power);
  CHECK(host.pci().driver(nic).value() == "e1000e");
}

TEST_CASE("in D3hot a simulated function takes nothing but what wakes it") {
  platform::sim::device card(*platform::sim::builtin_model("e1000e"));
  card.write(4, 2, 0x0006);
  const auto bar = card.read(0x10, 4);
  std::size_t control = card.read(0x34, 1);
  while (card.read(control, 1) != pci::reg::cap_pm) {
    control = card.read(control + 1, 1);
  }
  control += pci::reg::pmcsr;
  card.write(control, 2, pci::power::asleep(static_cast<std::uint16_t>(card.read(control, 2))));
  REQUIRE(card.sleeps());
  card.write(4, 2, 0);
  card.write(0x10, 4, 0);
  CHECK(card.command() == 0x0006);
  CHECK(card.read(0x10, 4) == bar);
  card.write(control, 2, 0);
  CHECK_FALSE(card.sleeps());
  card.write(4, 2, 0);
  CHECK(card.command() == 0);
}

TEST_SUITE_END();
