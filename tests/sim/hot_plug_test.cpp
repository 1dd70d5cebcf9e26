// SPDX-License-Identifier: GPL-2.0-or-later
// Functions come to running guests and leave them, in every order and with every kind of partner.
#include "actors/xenstore/guest_names.hpp"
#include "actors/xenstore/guest_view.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"
#include "pci/protocol/xenstore_paths.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using platform::sim::driver;
using platform::sim::flavour;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct plugged : two_cards {
  explicit plugged(actors::settings settings = {}) : two_cards(std::move(settings)) {
    REQUIRE(hold(nic));
    REQUIRE(hold(disk));
  }
  std::string state(domain_id domain) { return backend(domain, "state"); }
  void write(domain_id domain, const std::string& name, std::string_view value) {
    REQUIRE(host.xenstore().write(platform::sim::backend_path(domain) + "/" + name, value));
  }
  /// What xl does between its two waits, in no time.
  void ask_to_leave(domain_id domain, const pci::sbdf& address) {
    REQUIRE(host.toolstack_detach(domain, address));
    run();
  }
  /// attach, detach and drain say EOPNOTSUPP at once, and nothing is changed: the guest works on.
  void check_refused(const std::string& name, const std::string& why) {
    const auto domain = guest_status_of(name);
    const auto nodes = host.xenstore().list(platform::sim::backend_path(domain)).value();
    const auto begun = host.time().now();
    const auto check = [&](const auto& done) {
      REQUIRE_FALSE(done);
      CHECK(done.error().error == EOPNOTSUPP);
      CHECK(done.error().context.find(why) != std::string::npos);
    };
    check(attach(name, disk));
    check(detach(name, nic));
    check(drain(nic));
    check(drain(name));
    CHECK(host.time().now() - begun < 1s);
    CHECK(state(domain) == "4");
    CHECK(backend(domain, "state-0") == "3");
    CHECK(backend(domain, "num_devs") == "1");
    CHECK(host.xenstore().list(platform::sim::backend_path(domain)).value() == nodes);
    CHECK(function(nic).domain == domain);
    CHECK(node("/libxl/pci/0000-00-04-0/domid").empty());
    check_clean(disk);
  }
  domain_id guest_status_of(const std::string& name) {
    for (const auto& each : status().domains) {
      if (node(fmt::format("/local/domain/{}/name", each.domain)) == name) {
        return each.domain;
      }
    }
    return 0;
  }
  std::chrono::nanoseconds time_until_4(domain_id domain) {
    const auto begun = host.time().now();
    CHECK(wait_until([&] { return state(domain) == "4"; }, 30s));
    return host.time().now() - begun;
  }
};

struct running : plugged {
  running() {
    domain = boot("guest", {nic});
    guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->connect());
  }
  bool served() {
    return serve(*guest, [&] { return state(domain) == "4"; });
  }
  domain_id domain = 0;
  std::unique_ptr<frontend> guest;
};

struct netbsd_world : plugged {
  netbsd_world() : plugged(with_netbsd()) {
    domain = boot("netbsd", {nic});
    guest = std::make_unique<frontend>(host, domain, *this, flavour::netbsd);
    REQUIRE(guest->connect());
    REQUIRE(guest->functions().size() == 1);
  }
  std::string seen_state() { return node(pci::paths::view(domain) + "/state"); }
  domain_id domain = 0;
  std::unique_ptr<frontend> guest;
};

/// NetBSD, of which nobody has said that it is.
struct stranger : plugged {
  stranger() {
    domain = boot("unknown", {nic});
    guest = std::make_unique<frontend>(host, domain, *this, flavour::netbsd);
    REQUIRE(guest->connect());
  }
  domain_id domain = 0;
  std::unique_ptr<frontend> guest;
};

} // namespace

TEST_CASE_FIXTURE(running, "one pass brings a function and takes another") {
  REQUIRE(driver(*guest, first_slot).probe(2));
  REQUIRE(host.toolstack_attach(domain, disk, true)); // its nodes, without a word
  write(domain, "state-0", "5");
  write(domain, "state", "7");
  REQUIRE(served());
  REQUIRE(guest->functions().size() == 1);
  CHECK(guest->functions().front().device == 0x0010);
  CHECK(guest->read(second_slot, 0, 4).error != 0);
  CHECK(guest->read(first_slot, 0, 4).good()); // the slot is free for the next one
  CHECK(holding_pirqs(domain) == 0);
  check_clean(nic);
}

TEST_CASE_FIXTURE(running, "one pass takes a function and gives it back") {
  REQUIRE(driver(*guest, first_slot).probe(2));
  REQUIRE(host.toolstack_detach(domain, nic));
  REQUIRE_FALSE(host.toolstack_attach(domain, nic, true)); // libxl: not assignable, so its nodes are written here
  REQUIRE(host.xenstore().transact(
      [&](platform::store_operations& store) -> pci::result<void> {
        const auto back = platform::sim::backend_path(domain);
        static_cast<void>(store.write(back + "/dev-1", "0000:00:03.0"));
        static_cast<void>(store.write(back + "/state-1", "1"));
        return store.write(back + "/num_devs", "2");
      },
      4));
  REQUIRE(served());
  CHECK(guest->functions().size() == 1);
  CHECK(backend(domain, "state-1") == "3");
  CHECK(guest->read(first_slot, 0, 4).good());
  CHECK(holding_pirqs(domain) == 0); // it went through the scrub in between
}

TEST_CASE_FIXTURE(plugged, "an index that becomes another device's while a function is exported") {
  for (int steps = 0; steps < 40; ++steps) {
    CAPTURE(steps);
    const auto domain = boot("guest", {nic});
    REQUIRE(host.toolstack_attach(domain, disk, true));
    for (int i = 0; i < steps; ++i) {
      step();
    }
    REQUIRE(actors::remove_device(host.xenstore(), domain, nic));
    run();
    CHECK(backend(domain, "num_devs") == "1");
    CHECK(backend(domain, "dev-0") == "0000:00:04.0");
    CHECK(backend(domain, "state-0") == "3");
    CHECK(backend(domain, "vdev-0") != "");
    CHECK(backend(domain, "state-1") == "");
    CHECK(backend(domain, "vdev-1") == "");
    CHECK(wait_until_held(nic));
    CHECK(function(disk).domain == domain);
    host.toolstack_destroy(domain);
    run();
    check_clean(disk);
    check_forgotten(domain);
  }
}

TEST_CASE_FIXTURE(plugged, "a frontend that was waited for in vain is not waited for again") {
  const auto domain = boot("deaf", {nic, disk});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  guest.withhold(true);
  ask_to_leave(domain, nic);
  const auto patience = all->configuration->frontend_patience;
  CHECK(patience == 2s);
  const auto first = time_until_4(domain);
  CHECK(first >= patience);
  CHECK(first < patience + 100ms);
  REQUIRE(host.toolstack_finish_detach(domain, nic));
  ask_to_leave(domain, disk);
  CHECK(time_until_4(domain) < 200ms); // `xl destroy` takes all of them, one by one
  REQUIRE(host.toolstack_finish_detach(domain, disk));
  run();
  check_clean(nic);
  check_clean(disk);
  CHECK_FALSE(backend_exists(domain)); // with its parent, which the toolstack forgot
}

TEST_CASE_FIXTURE(plugged, "a frontend that moves again is waited for again") {
  const auto domain = boot("slow", {nic, disk});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  guest.withhold(true);
  ask_to_leave(domain, nic);
  REQUIRE(time_until_4(domain) > 1s);
  REQUIRE(host.toolstack_finish_detach(domain, nic));
  // Its driver has let go at last, and it says so: it is told to look again.
  REQUIRE(guest.write_node("state", "7"));
  run();
  CHECK(state(domain) == "8");
  REQUIRE(guest.write_node("state", "4"));
  run();
  CHECK(state(domain) == "4");
  // Once: it does not get its 8 for another 7.
  REQUIRE(guest.write_node("state", "7"));
  run();
  CHECK(state(domain) == "4");
  REQUIRE(guest.write_node("state", "4"));
  run();
  ask_to_leave(domain, disk);
  CHECK(time_until_4(domain) >= all->configuration->frontend_patience);
}

TEST_CASE_FIXTURE(running, "a frontend that stops half way is waited out in state 8 too") {
  REQUIRE(host.toolstack_attach(domain, disk, false));
  run();
  REQUIRE(guest->write_node("state", "7"));
  run();
  CHECK(state(domain) == "8");
  const auto took = time_until_4(domain);
  CHECK(took >= all->configuration->frontend_patience);
  CHECK(took < all->configuration->frontend_patience + 100ms);
  CHECK(backend(domain, "state-1") == "3");
}

TEST_CASE_FIXTURE(running, "a driver that takes its time to let go has until shortly before libxl gives up") {
  REQUIRE(driver(*guest, first_slot).probe(2));
  ask_to_leave(domain, nic);
  const auto begun = host.time().now();
  while (host.time().now() - begun < 8s) { // its driver's remove, which talks to the card all the time
    REQUIRE(guest->read(first_slot, 4, 2).good());
    advance(500ms);
    REQUIRE(state(domain) == "7");
  }
  SUBCASE("and is done in that time") {
    REQUIRE(served());
    CHECK(guest->functions().empty());
    CHECK(host.time().now() - begun < 9s);
  }
  SUBCASE("and no longer") {
    while (state(domain) == "7") {
      static_cast<void>(guest->read(first_slot, 4, 2));
      advance(100ms);
    }
    CHECK(host.time().now() - begun > 8900ms);
    CHECK(host.time().now() - begun < 9500ms);
  }
  CHECK(state(domain) == "4");
  check_clean(nic);
  CHECK(holding_pirqs(domain) == 0);
}

TEST_CASE_FIXTURE(running, "the time of a slow one is for both of its answers") {
  REQUIRE(host.toolstack_attach(domain, disk, false));
  run();
  const auto begun = host.time().now();
  advance(1500ms);
  REQUIRE(guest->write_node("state", "7"));
  run();
  while (state(domain) == "8") {
    static_cast<void>(guest->read(first_slot, 4, 2)); // it scans, slowly
    advance(100ms);
  }
  CHECK(host.time().now() - begun > 8900ms);
  CHECK(host.time().now() - begun < 9500ms);
}

TEST_CASE_FIXTURE(running, "a drain waits for a driver that is letting go, and not for one that does not move") {
  REQUIRE(driver(*guest, first_slot).probe(2));
  bool moves = false;
  SUBCASE("moving") { moves = true; }
  SUBCASE("not") {}
  CAPTURE(moves);
  guest->withhold(true);
  const auto begun = host.time().now();
  auto pending = self->request(root, caf::infinite, messages::drain_atom_v, nic);
  for (int i = 0; i < 300 && !self->has_next_message(); ++i) {
    run();
    if (moves) {
      static_cast<void>(guest->read(first_slot, 4, 2));
    }
    if (host.time().now() - begun > 6s) {
      guest->withhold(false);
      guest->service();
    }
    advance(50ms);
  }
  REQUIRE(self->has_next_message());
  pending.receive([] {}, [](caf::error&) { FAIL("refused"); });
  CHECK((host.time().now() - begun > 5s) == moves);
  check_clean(nic);
}

TEST_CASE_FIXTURE(running, "a toolstack that asks again gives the frontend its time again") {
  guest->withhold(true);
  ask_to_leave(domain, nic);
  REQUIRE(time_until_4(domain) > 1s);
  REQUIRE(guest->write_node("state", "3")); // it moves
  run();
  REQUIRE(guest->write_node("state", "4"));
  run();
  guest->withhold(false);
  write(domain, "state", "7");
  run();
  advance(1s);
  CHECK(state(domain) == "7");
  REQUIRE(served());
}

TEST_CASE_FIXTURE(running, "a paused guest does not hold the toolstack up") {
  REQUIRE(driver(*guest, first_slot).probe(2));
  host.xen().pause(domain, true);
  ask_to_leave(domain, nic);
  CHECK(state(domain) == "4");
  check_clean(nic);
  CHECK(holding_pirqs(domain) == 0);
  REQUIRE(host.toolstack_attach(domain, disk, false));
  run();
  CHECK(state(domain) == "4");
  CHECK(backend(domain, "state-1") == "3");
  host.xen().pause(domain, false);
  ask_to_leave(domain, disk);
  CHECK(state(domain) == "7"); // it runs again, and it is its move
  CHECK(served());
}

TEST_CASE_FIXTURE(running, "a guest that has shut down in order does not hold xl up") {
  REQUIRE(driver(*guest, first_slot).probe(2));
  REQUIRE(guest->shutdown());
  run();
  CHECK(state(domain) == "6");
  host.shut_down(domain);
  run();
  CHECK(state(domain) == "4"); // what libxl waits for, 10 s for each function
  ask_to_leave(domain, nic);
  CHECK(state(domain) == "4");
  REQUIRE(host.toolstack_finish_detach(domain, nic));
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  check_forgotten(domain);
}

TEST_CASE_FIXTURE(running, "a guest that crashes in the middle of a hot-plug") {
  REQUIRE(host.toolstack_attach(domain, disk, false));
  run();
  SUBCASE("before it has answered") {}
  SUBCASE("after it has answered") {
    REQUIRE(guest->write_node("state", "7"));
    run();
    REQUIRE(state(domain) == "8");
  }
  host.shut_down(domain);
  run();
  CHECK(state(domain) == "4");
  ask_to_leave(domain, nic);
  CHECK(state(domain) == "4");
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  check_clean(disk);
  check_forgotten(domain);
}

TEST_CASE_FIXTURE(running, "a guest that is closing when a function is to leave") {
  ask_to_leave(domain, nic);
  CHECK(guest->shutdown());
  run();
  CHECK(state(domain) == "6");
  host.shut_down(domain);
  run();
  CHECK(state(domain) == "4");
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  check_forgotten(domain);
}

TEST_CASE_FIXTURE(running, "directories that are made anew before anybody saw them gone") {
  REQUIRE(driver(*guest, first_slot).probe(2));
  REQUIRE(actors::remove_device(host.xenstore(), domain, nic));
  REQUIRE(host.toolstack_attach(domain, disk, false));
  guest.reset();
  run();
  CHECK(state(domain) == "3");
  check_clean(nic);
  frontend again(host, domain, *this);
  REQUIRE(again.connect());
  REQUIRE(again.functions().size() == 1);
  CHECK(again.functions().front().device == 0x0010);
}

TEST_CASE_FIXTURE(running,
                  "a frontend that ends when its successor's directories are there already is called again, once") {
  REQUIRE(actors::remove_device(host.xenstore(), domain, nic));
  run();
  REQUIRE(host.toolstack_attach(domain, disk, false));
  run();
  CHECK(state(domain) == "3");
  guest->unplug_late();
  const auto front = platform::sim::frontend_path(domain) + "/state";
  CHECK(node(front) == "6");
  run();
  CHECK(node(front) == "1");
  SUBCASE("and comes up") {
    REQUIRE(guest->connect());
    CHECK(guest->functions().size() == 1);
    CHECK(state(domain) == "4");
  }
  SUBCASE("and has no driver") {
    REQUIRE(guest->write_node("state", "6"));
    run();
    CHECK(node(front) == "6");
    CHECK(state(domain) == "3");
  }
}

TEST_CASE_FIXTURE(netbsd_world, "a guest without hot-plug sees nothing of one, and the toolstack does not wait") {
  CHECK(seen_state() == "4");
  CHECK(node(pci::paths::view(domain) + "/root-0") == "0000:00");
  REQUIRE(host.toolstack_attach(domain, disk, false)); // libxl writes 7
  CHECK(state(domain) == "7");
  run();
  CHECK(state(domain) == "4");
  CHECK(backend(domain, "state-1") == "6");
  CHECK(error_node(domain).find("hot_plug = false") != std::string::npos);
  guest->service();
  CHECK(guest->read(second_slot, 0, 4).error != 0);
  ask_to_leave(domain, disk);
  CHECK(state(domain) == "4");
  REQUIRE(host.toolstack_finish_detach(domain, disk));

  ask_to_leave(domain, nic);
  CHECK(state(domain) == "4");
  check_clean(nic);
  guest->service();
  CHECK(seen_state() == "4"); // and no violation, which the fixture checks
}

TEST_CASE_FIXTURE(netbsd_world, "a guest that is known to take no hot-plug is refused the daemon's own commands") {
  check_refused("netbsd", "hot_plug = false");
}

TEST_CASE_FIXTURE(stranger,
                  "what looks like NetBSD's frontend is refused the daemon's own commands, and does not panic") {
  check_refused("unknown", "looks like NetBSD");
  // Not what it was before it looked, nor when it is off.
  host.shut_down(domain);
  run();
  REQUIRE(drain("unknown"));
  check_clean(nic);
}

TEST_CASE_FIXTURE(stranger, "a dying NetBSD is drained by force") {
  host.toolstack_destroy(domain);
  static_cast<void>(drain(nic));
  run();
  check_clean(nic);
  check_forgotten(domain);
}

TEST_CASE_FIXTURE(stranger, "functions come to NetBSD before it looks, and leave it then") {
  const auto other = host.create_domain("early");
  REQUIRE(attach("early", disk));
  REQUIRE(detach("early", disk));
  check_clean(disk);
  REQUIRE(attach("early", disk));
  frontend early(host, other, *this, flavour::netbsd);
  REQUIRE(early.connect());
  CHECK(early.functions().size() == 1);
  const auto refused = detach("early", disk);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EOPNOTSUPP);
  early.service();
}

TEST_CASE_FIXTURE(plugged, "other frontends take the daemon's own hot-plug as before") {
  for (const auto whose : {flavour::linux, flavour::mini_os, flavour::freebsd}) {
    CAPTURE(static_cast<int>(whose));
    const auto domain = boot("guest", {nic});
    frontend guest(host, domain, *this, whose);
    REQUIRE(guest.connect());
    static_cast<void>(guest.read(whose == flavour::mini_os ? nic : first_slot, 0x0e, 1)); // not all mini-os do
    auto pending = self->request(root, caf::infinite, messages::attach_atom_v, domain, disk);
    REQUIRE(serve(guest, [&] { return self->has_next_message(); }));
    pending.receive([](const pci::sbdf&) {}, [](caf::error&) { FAIL("refused"); });
    host.toolstack_destroy(domain);
    run();
    check_clean(nic);
    check_clean(disk);
  }
}

TEST_CASE("the settings' word counts more than what a frontend looks like") {
  actors::settings settings;
  settings.guests.push_back({"odd", true});
  plugged world(settings);
  const auto domain = world.boot("odd", {nic});
  frontend guest(world.host, domain, world, flavour::mini_os); // has asked for whole words only
  guest.scan_on_connect(false);
  REQUIRE(guest.connect());
  REQUIRE(guest.read(nic, 0, 4).good());
  auto pending = world.self->request(world.root, caf::infinite, messages::attach_atom_v, domain, disk);
  REQUIRE(world.serve(guest, [&] { return world.self->has_next_message(); }));
  pending.receive([](const pci::sbdf&) {}, [](caf::error&) { FAIL("refused"); });
}

TEST_CASE_FIXTURE(netbsd_world, "a guest without hot-plug closes and never sees Closed") {
  REQUIRE(host.xenstore().write(pci::paths::view(domain) + "/state", "5"));
  guest->service();
  CHECK(guest->state() == 6);
  run();
  CHECK(state(domain) == "6");
  CHECK(seen_state() == "5");
  guest->service();
  host.toolstack_destroy(domain);
  run();
  check_clean(nic);
  check_forgotten(domain);
  CHECK_FALSE(host.xenstore().list("/local/domain/0/pcibackd"));
}

TEST_CASE_FIXTURE(netbsd_world, "what libxl writes would be the end of a guest that is not known") {
  const auto unknown = boot("unknown", {disk});
  frontend victim(host, unknown, *this, flavour::netbsd);
  REQUIRE(victim.connect());
  write(unknown, "state", "7");
  victim.service();
  REQUIRE(violations.texts.size() == 1);
  CHECK(violations.texts.front().find("bad backend state 7") != std::string::npos);
  violations.texts.clear();
}

TEST_CASE_FIXTURE(plugged, "a guest is known by its name and its UUID, or by nothing") {
  auto& store = host.xenstore();
  const auto domain = host.create_domain("some");
  REQUIRE(store.write(fmt::format("/local/domain/{}/vm", domain), "/vm/0f6ff4f0-2d4f-4a4e-9f2c-0a5a3e6d1c11"));
  const auto who = actors::names_of(store, domain);
  CHECK(actors::is_called(who, "some"));
  CHECK(actors::is_called(who, "0f6ff4f0-2d4f-4a4e-9f2c-0a5a3e6d1c11"));
  CHECK(actors::is_called(who, "0F6FF4F0-2D4F-4A4E-9F2C-0A5A3E6D1C11"));
  CHECK_FALSE(actors::is_called(who, "som"));
  CHECK_FALSE(actors::is_called(who, ""));
  const auto nobody = actors::names_of(store, 77);
  CHECK_FALSE(actors::is_called(nobody, "some"));
  CHECK_FALSE(actors::is_called(nobody, ""));
}

TEST_CASE_FIXTURE(plugged, "the last function leaves, and with it every directory") {
  const auto domain = boot("guest", {nic});
  REQUIRE(detach("guest", nic));
  CHECK_FALSE(backend_exists(domain));
  CHECK_FALSE(host.xenstore().list(platform::sim::frontend_path(domain)));
  host.toolstack_destroy(domain);
  run();
  CHECK_FALSE(backend_exists(domain));
  check_forgotten(domain);
}

TEST_SUITE_END();
