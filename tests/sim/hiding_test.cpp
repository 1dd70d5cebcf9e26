// SPDX-License-Identifier: GPL-2.0-or-later
// Which functions are kept from dom0, which are not, and what becomes of them when they come and go.
#include "actors/root/hiding.hpp"
#include "two_cards.hpp"

using namespace test;
using messages::function_state;
using platform::sim::builtin_model;
using platform::sim::driver;
using platform::sim::frontend;
using platform::sim::place;

TEST_SUITE_BEGIN("deterministic");

namespace {

const auto bridge = pci::make_sbdf(0, 0, 2, 0);

actors::settings::device rule(const pci::selector& match, bool hold = true) {
  return {.match = match, .hold = hold, .seize = true};
}

pci::selector by_class(const char* text) {
  pci::selector match;
  match.classes = pci::parse_class(text).value();
  return match;
}

pci::selector by_ids(const char* text) {
  pci::selector match;
  match.ids = pci::parse_ids(text).value();
  return match;
}

actors::settings network_cards() {
  actors::settings settings;
  settings.devices = {rule(by_class("02"))};
  return settings;
}

bool mentions(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

struct network_hidden : two_cards {
  network_hidden() : two_cards(network_cards()) { run(); }
  [[nodiscard]] std::string driver_of(const pci::sbdf& address) { return host.xen().facts(address)->driver; }
};

/// What the daemon asks for when it starts.
std::vector<pci::sbdf> held_at_start(platform::host& host, const actors::settings& settings) {
  std::vector<pci::sbdf> found;
  for (const auto& [address, seize] : actors::functions_to_hold(host, settings)) {
    found.push_back(address);
  }
  return found;
}

} // namespace

TEST_CASE_FIXTURE(two_cards,
                  "hide= of a bridge takes what is below it, now and later, but for what a [[device]] leaves to dom0") {
  const auto below = pci::make_sbdf(0, 1, 0, 0), spared = pci::make_sbdf(0, 1, 0, 1),
             elsewhere = pci::make_sbdf(0, 2, 0, 0);
  const auto card_at = [](const pci::sbdf& address, const std::vector<pci::sbdf>& bridges) {
    auto card = place(*builtin_model("e1000e"), address);
    card.bridges = bridges;
    return card;
  };
  host.add_function(place(*builtin_model("bridge"), bridge), "pcieport");
  host.add_function(card_at(below, {pci::make_sbdf(0, 7, 0, 0), bridge}), "");
  host.add_function(card_at(spared, {bridge}), "");
  host.add_function(card_at(elsewhere, {}), "");
  actors::settings settings;
  settings.hide = {*pci::selector(bridge).address};
  settings.devices = {rule(spared, false)};
  CHECK(held_at_start(host, settings) == std::vector{bridge, below});
  const auto found = actors::look_at_added(host, settings, below);
  REQUIRE(found);
  REQUIRE(found->admitted); // described once, and not again before it is held
  CHECK((*found->admitted)->what.address == below);
  CHECK_FALSE(actors::look_at_added(host, settings, spared));
  CHECK_FALSE(actors::look_at_added(host, settings, elsewhere));
  settings.hide.clear();
  settings.own(bridge); // a [[device]] with its address means the bridge alone
  CHECK(held_at_start(host, settings) == std::vector{bridge});
}

TEST_CASE_FIXTURE(network_hidden, "a function that appears is held when it is of a hidden class") {
  CHECK(function(nic).state == function_state::held);
  CHECK(driver_of(nic) == "pci-stub");
  CHECK(function(disk).address == pci::sbdf{}); // unknown to the daemon
  CHECK(driver_of(disk) == "nvme");
}

TEST_CASE_FIXTURE(two_cards, "what is held at start: by each kind of selector, the most exact first") {
  host.add_function(place(*builtin_model("bridge"), bridge), "pcieport");
  const auto at_start = [&](std::vector<actors::settings::device> rules) {
    actors::settings settings;
    settings.devices = std::move(rules);
    return held_at_start(host, settings);
  };
  using addresses = std::vector<pci::sbdf>;
  CHECK(at_start({}) == addresses{});
  CHECK(at_start({rule(by_class("02"))}) == addresses{nic});
  CHECK(at_start({rule(by_ids("1b36:*"))}) == addresses{disk}); // the bridge is of this vendor too
  CHECK(at_start({rule(by_ids("1b36:0010")), rule(by_class("02"))}) == addresses{nic, disk});
  CHECK(at_start({rule(pci::parse_pattern("00:*.*").value())}) == addresses{nic, disk});
  CHECK(at_start({rule(pci::parse_pattern("00:03.*").value())}) == addresses{nic});
  CHECK(at_start({rule(pci::parse_pattern("00:*.*").value()), rule(by_class("02"), false)}) == addresses{nic, disk});
  CHECK(at_start({rule(pci::parse_pattern("00:*.*").value()), rule(pci::parse_pattern("00:03.*").value(), false)}) ==
        addresses{disk});

  actors::settings named;
  named.own(bridge);
  named.own(nic).hold = false;
  const auto absent = pci::make_sbdf(0, 9, 0, 0);
  named.own(absent); // named, so it is missed when it is not there
  named.devices.push_back(rule(by_class("02")));
  named.devices.push_back(rule(by_class("06")));
  CHECK(held_at_start(host, named) == addresses{bridge, absent});

  // Its address and its ids are more exact than its address.
  actors::settings spared;
  spared.own(nic);
  auto match = by_ids("8086:10d3");
  match.address = pci::selector{nic}.address;
  spared.devices.push_back(rule(match, false));
  CHECK(held_at_start(host, spared) == addresses{});
}

TEST_CASE_FIXTURE(two_cards, "a bridge is held by its own address, and by nothing else") {
  const auto model = place(*builtin_model("bridge"), bridge);
  all->configuration.change([&](actors::settings& settings) {
    settings.devices = {rule(by_class("06")), rule(pci::parse_pattern("00:02.*").value())};
  });
  host.add_function(model);
  run();
  CHECK(function(bridge).address == pci::sbdf{});
  REQUIRE(host.remove_function(bridge));
  all->configuration.change([&](actors::settings& settings) {
    settings.devices = {rule(bridge)};
    settings.devices.front().match.classes = pci::parse_class("06").value();
  });
  host.add_function(model);
  run();
  CHECK(function(bridge).state == function_state::held);
}

TEST_CASE_FIXTURE(two_cards, "what dom0 runs from is refused with the reason, unless it is overridden") {
  host.pci().set_needed_for(disk, "carries / (nvme0n1p2)");
  const auto refused = hold(disk);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EPERM);
  CHECK(mentions(refused.error().context, "carries / (nvme0n1p2)"));
  CHECK(host.xen().facts(disk)->driver == "nvme");
  CHECK(function(disk).state == function_state::refused);
  CHECK(mentions(function(disk).detail, "override_boot"));
  CHECK(function(disk).vendor == 0x1b36);

  host.create_domain("guest");
  const auto attached = attach("guest", disk);
  REQUIRE_FALSE(attached);
  CHECK(mentions(attached.error().context, "carries /"));

  all->configuration.change([&](actors::settings& settings) { settings.own(disk).override_boot = true; });
  REQUIRE(hold(disk));
  CHECK(function(disk).state == function_state::held);
}

TEST_CASE_FIXTURE(two_cards, "a card that is not the pinned one is refused and shown, and the pinned one is held") {
  all->configuration.change([&](actors::settings& settings) {
    settings.own(nic).seize = true;
    settings.own(nic).pin = pci::pin{pci::id_pattern{0x8086, 0x10d3}, {}, {}};
  });
  REQUIRE(hold(nic));
  REQUIRE(host.remove_function(nic));
  run();
  CHECK(function(nic).state == function_state::gone);

  host.add_function(place(*builtin_model("e1000"), nic), "e1000");
  run();
  CHECK(function(nic).state == function_state::refused);
  CHECK(function(nic).detail == "its ids are 8086:100e where 8086:10d3 is pinned");
  CHECK(host.xen().facts(nic)->driver == "e1000");
  CHECK(hold(nic).error().error == EPERM); // by hand neither
  CHECK(release(nic).error().error == ENODEV);

  REQUIRE(host.remove_function(nic));
  run();
  CHECK(function(nic).address == pci::sbdf{}); // nothing is there to be refused
  host.add_function(place(*builtin_model("e1000e"), nic), "e1000e");
  run();
  CHECK(function(nic).state == function_state::held);
}

TEST_CASE_FIXTURE(network_hidden, "a card that is pulled out and put in again is held again") {
  REQUIRE(host.remove_function(nic));
  run();
  CHECK(function(nic).state == function_state::gone);
  host.add_function(place(*builtin_model("e1000e"), nic), "e1000e");
  run();
  check_clean(nic);
  CHECK(driver_of(nic) == "pci-stub");
}

TEST_CASE_FIXTURE(two_cards, "a card that comes in the place of one that was held by hand is dom0's") {
  REQUIRE(hold(nic));
  REQUIRE(host.remove_function(nic));
  run();
  host.add_function(place(*builtin_model("e1000"), nic), "e1000");
  run();
  CHECK(function(nic).address == pci::sbdf{});
  CHECK(host.xen().facts(nic)->driver == "e1000");
}

TEST_CASE_FIXTURE(network_hidden,
                  "a card that returns while its guest still has the old one is held when that has ended") {
  const auto domain = boot("guest", {nic});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  REQUIRE(driver(guest, first_slot).probe(2));
  REQUIRE(host.remove_function(nic));
  host.add_function(place(*builtin_model("e1000e"), nic), "e1000e");
  run();
  CHECK(function(nic).state == function_state::leased);
  REQUIRE(serve(guest, [&] { return function(nic).state == function_state::held; }));
  check_clean(nic);
  CHECK(host.xen().holdings(domain).functions.empty());
}

TEST_CASE_FIXTURE(network_hidden, "a function that is announced again is not disturbed") {
  const auto domain = boot("guest", {nic});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  REQUIRE(driver(guest, first_slot).probe(2));
  events.function_added(nic); // udevadm trigger
  events.driver_unbound(nic);
  run();
  CHECK(function(nic).state == function_state::leased);
  CHECK(holding_pirqs(domain) == 2);
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  REQUIRE(release(nic));
  CHECK(function(nic).address == pci::sbdf{}); // and is not taken again
}

TEST_CASE_FIXTURE(two_cards, "a card that is pulled out of a running guest is taken from it as by a detach") {
  REQUIRE(hold(nic));
  REQUIRE(hold(disk));
  const auto domain = boot("guest", {nic, disk});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  REQUIRE(driver(guest, second_slot).probe(2));
  REQUIRE(driver(guest, first_slot).probe(2));
  REQUIRE(host.remove_function(nic));
  REQUIRE(serve(guest, [&] { return backend(domain, "num_devs") == "1"; }));
  CHECK(function(nic).state == function_state::gone);
  CHECK_FALSE(function(nic).domain);
  CHECK(backend(domain, "state") == "4");
  CHECK(backend(domain, "dev-0") == "0000:00:04.0");
  CHECK(guest.functions().size() == 1);
  CHECK(node("/libxl/pci/0000-00-03-0/domid").empty());
  CHECK(holding_pirqs(domain) == 2); // the disk's
  CHECK(guest.read(second_slot, 0, 4).good());
  CHECK(guest.timeouts() == 0);
  REQUIRE(release(nic)); // the administrator has seen it
  CHECK(function(nic).address == pci::sbdf{});
}

TEST_CASE_FIXTURE(two_cards, "a card is pulled out of a guest that does not answer") {
  REQUIRE(hold(nic));
  const auto domain = boot("guest", {nic});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  guest.withhold(true);
  REQUIRE(host.remove_function(nic));
  REQUIRE(serve(guest, [&] { return function(nic).state == function_state::gone; }));
  CHECK(host.xen().holdings(domain).message_pirqs.empty());
  host.toolstack_destroy(domain);
  run();
  check_forgotten(domain);
}

TEST_CASE_FIXTURE(network_hidden, "a released function goes back to its driver, whose name outlives the daemon") {
  CHECK(node("/libxl/pci/0000-00-03-0/driver_path") == "/sys/bus/pci/drivers/e1000e");
  const auto domain = boot("guest", {nic}); // what a guest leaves behind is another node
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  CHECK(node("/libxl/pci/0000-00-03-0/driver_path") == "/sys/bus/pci/drivers/e1000e");
  REQUIRE(release(nic));
  run();
  CHECK(driver_of(nic) == "e1000e");
  CHECK(node("/libxl/pci/0000-00-03-0/driver_path").empty());
}

TEST_SUITE_END();
