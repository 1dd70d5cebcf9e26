// SPDX-License-Identifier: GPL-2.0-or-later
// Guests that are given what the settings assign to them, whenever they appear.
#include "actors/root/assignments.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

constexpr const char* uuid = "6b8f1e2c-0000-4000-8000-0123456789ab";

actors::settings assigned(std::initializer_list<actors::settings::assignment> what) {
  actors::settings settings;
  settings.assignments = what;
  return settings;
}

struct web_server : two_cards {
  explicit web_server(actors::settings settings = assigned({{"web", {disk, nic}}})) : two_cards(std::move(settings)) {
    REQUIRE(hold(nic));
    REQUIRE(hold(disk));
  }
  bool wait_for_devices(domain_id domain, const char* count = "2") {
    return wait_until([&] { return backend(domain, "num_devs") == count && function(nic).virtual_address; }, 20s);
  }
};

struct by_uuid : web_server {
  by_uuid() : web_server(assigned({{"6B8F1E2C-0000-4000-8000-0123456789AB", {nic}}})) {}
};

struct two_claims : web_server {
  two_claims() : web_server(assigned({{"web", {nic, disk}}, {"mail", {nic}}})) {}
};

} // namespace

TEST_CASE("assignment: by name or by UUID, in the order of the settings") {
  const auto a = nic, b = disk;
  const auto settings = assigned({{"web", {a}}, {uuid, {b}}});
  using actors::assigned_to;
  CHECK(assigned_to(settings, {"web", ""}) == std::vector{a});
  CHECK(assigned_to(settings, {"mail", uuid}) == std::vector{b});
  CHECK(assigned_to(settings, {"web", "6B8F1E2C-0000-4000-8000-0123456789AB"}) == std::vector{a, b});
  CHECK(assigned_to(settings, {"mail", "6b8f1e2c-0000-4000-8000-0123456789ac"}).empty());
  CHECK(assigned_to(settings, {"", ""}).empty());
  CHECK(assigned_to(settings, {"web2", "6b8f1e2c"}).empty());
}

TEST_CASE_FIXTURE(web_server,
                  "a guest that appears is given its functions in their order, and again after each reboot") {
  for (int life = 0; life < 3; ++life) {
    const auto domain = host.create_domain("web");
    REQUIRE(wait_for_devices(domain));
    CHECK(backend(domain, "dev-0") == "0000:00:04.0");
    CHECK(backend(domain, "dev-1") == "0000:00:03.0");
    frontend guest(host, domain, *this);
    REQUIRE(guest.connect());
    CHECK(guest.functions().size() == 2);
    REQUIRE(driver(guest, first_slot).probe(2));
    CHECK(function(disk).domain == domain);
    // The next life begins while the daemon still cleans up after this one.
    host.toolstack_destroy(domain);
  }
  advance(1s);
  check_clean(nic);
  check_clean(disk);
}

TEST_CASE_FIXTURE(by_uuid, "a guest is known by its UUID") {
  const auto stranger = host.create_domain("web");
  platform::sim::domain_options options;
  options.name = "other";
  options.uuid = uuid;
  const auto domain = host.create_domain(options);
  REQUIRE(wait_for_devices(domain, "1"));
  CHECK(function(nic).domain == domain);
  CHECK_FALSE(backend_exists(stranger));
  CHECK(function(disk).state == function_state::held);
}

TEST_CASE_FIXTURE(two_claims, "what somebody else has stays his, and the guest gets the rest") {
  const auto mail = host.create_domain("mail");
  REQUIRE(wait_for_devices(mail, "1"));
  const auto web = host.create_domain("web");
  REQUIRE(wait_until([&] { return function(disk).virtual_address.has_value(); }, 20s));
  CHECK(function(nic).domain == mail);
  CHECK(function(disk).domain == web);
  CHECK(backend(web, "num_devs") == "1");
  advance(5min);
  CHECK(function(nic).domain == mail);
}

TEST_CASE_FIXTURE(web_server, "a function that is not held is passed over") {
  REQUIRE(release(disk));
  const auto domain = host.create_domain("web");
  REQUIRE(wait_for_devices(domain, "1"));
  CHECK(backend(domain, "dev-0") == "0000:00:03.0");
}

TEST_CASE_FIXTURE(web_server, "what the toolstack has given the guest itself is not given twice") {
  const auto domain = host.create_domain("web");
  REQUIRE(host.toolstack_attach(domain, disk, true)); // pci= of its configuration
  REQUIRE(wait_for_devices(domain));
  CHECK(backend(domain, "dev-0") == "0000:00:04.0");
  CHECK(backend(domain, "dev-1") == "0000:00:03.0");
}

TEST_CASE_FIXTURE(web_server, "a guest that was there before the daemon is given its functions when that starts") {
  stop_daemon();
  host.end_daemon();
  const auto domain = host.create_domain("web");
  const auto wanted = all->configuration->assignments;
  all->configuration.change([](actors::settings& settings) { settings.assignments.clear(); });
  start_root();
  REQUIRE(hold(nic));
  REQUIRE(hold(disk));
  all->configuration.change([&](actors::settings& settings) { settings.assignments = wanted; });
  host.store_daemon().fire_special("@introduceDomain"); // as a watch does when it is registered, after the functions
  REQUIRE(wait_for_devices(domain));

  // A daemon that starts under a guest that has them leaves it alone.
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  host.store_daemon().fire_special("@introduceDomain");
  advance(1min);
  CHECK(backend(domain, "num_devs") == "2");
  CHECK(backend(domain, "state") == "4");
}

TEST_SUITE_END();
