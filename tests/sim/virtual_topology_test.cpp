// SPDX-License-Identifier: GPL-2.0-or-later
// Where a guest sees its functions, and that each kind of frontend finds them there.
#include "two_cards.hpp"

using namespace test;
using platform::sim::builtin_model;
using platform::sim::flavour;
using platform::sim::frontend;
using platform::sim::place;

TEST_SUITE_BEGIN("deterministic");

namespace {

constexpr std::array<std::uint8_t, 3> numbers{0, 1, 3};
constexpr std::array<std::uint8_t, 2> headers{0x80, 0x00};
constexpr std::array every_flavour{flavour::linux, flavour::mini_os, flavour::netbsd, flavour::freebsd};

/// A card with functions 0, 1 and 3 at 06:00; `header`: what HEADER_TYPE says in hardware.
struct multi_function_card : two_cards {
  explicit multi_function_card(std::uint8_t header = 0x80, actors::settings settings = {})
      : two_cards(std::move(settings)) {
    for (const auto function : numbers) {
      auto model = place(*builtin_model("e1000e"), at(function));
      model.config.at(0x0e) = std::byte{header};
      model.config.at(0x2e) = std::byte{function}; // subsystem id, to tell them apart
      host.add_function(model);
      REQUIRE(hold(at(function)));
    }
  }
  static pci::sbdf at(std::uint8_t function) { return pci::make_sbdf(0, 6, 0, function); }
  static pci::sbdf seen(std::uint8_t slot, std::uint8_t function) { return pci::make_sbdf(0, 0, slot, function); }
  void end(domain_id domain) {
    host.toolstack_destroy(domain);
    run();
    check_forgotten(domain);
  }
};

} // namespace

TEST_CASE("a lone function of a card is function 0, and every frontend finds it") {
  for (const auto header : headers) {
    multi_function_card world(header);
    for (const auto whose : every_flavour) {
      CAPTURE(static_cast<int>(whose));
      const auto domain = world.boot("guest", {multi_function_card::at(3)});
      frontend guest(world.host, domain, world, whose);
      REQUIRE(guest.connect());
      REQUIRE(guest.functions().size() == 1);
      CHECK(guest.functions().front().address == (whose == flavour::mini_os ? multi_function_card::at(3) : first_slot));
      CHECK(guest.functions().front().header_type == 0); // nothing else is there
      CHECK(world.backend(domain, "vdev-0") == "0000:00:00.00");
      CHECK(world.backend(domain, "vdevfn-0") == "0");
      world.end(domain);
    }
  }
}

TEST_CASE("all functions of a card are found, whatever the header of its function 0 says and in whatever order") {
  for (const auto header : headers) {
    multi_function_card world(header);
    for (const auto& order : {std::array<std::uint8_t, 3>{0, 1, 3}, {3, 1, 0}, {1, 0, 3}}) {
      for (const auto whose : every_flavour) {
        CAPTURE(static_cast<int>(whose));
        const auto domain = world.boot("guest", {multi_function_card::at(order[0]), multi_function_card::at(order[1]),
                                                 multi_function_card::at(order[2])});
        frontend guest(world.host, domain, world, whose);
        REQUIRE(guest.connect());
        REQUIRE(guest.functions().size() == 3);
        for (const auto function : numbers) {
          const auto address =
              whose == flavour::mini_os ? multi_function_card::at(function) : multi_function_card::seen(0, function);
          const auto* found = guest.find(address);
          REQUIRE(found != nullptr);
          CHECK(found->header_type == 0x80);
          CHECK((guest.read(address, 0x2c, 4).value >> 16 & 0xff) == function);
          CHECK((guest.read(address, 0x0c, 4).value >> 16 & 0xff) == 0x80);
        }
        world.end(domain);
      }
    }
  }
}

TEST_CASE_FIXTURE(multi_function_card, "a function that is plugged into a slot makes it one of several") {
  const auto domain = boot("guest", {at(1)});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  CHECK(guest.read(first_slot, 0x0e, 1).value == 0);
  REQUIRE(host.toolstack_attach(domain, at(0), false));
  REQUIRE(serve(guest, [&] { return backend(domain, "state") == "4"; }));
  CHECK(guest.read(first_slot, 0x0e, 1).value == 0x80);
  CHECK((guest.read(first_slot, 0x2c, 4).value >> 16 & 0xff) == 1); // it stays where it is
  CHECK((guest.read(seen(0, 1), 0x2c, 4).value >> 16 & 0xff) == 0);
  CHECK(backend(domain, "vdev-1") == "0000:00:00.01");
  CHECK(guest.functions().size() == 2);
  REQUIRE(host.toolstack_detach(domain, at(1)));
  REQUIRE(serve(guest, [&] { return backend(domain, "state") == "4"; }));
  REQUIRE(host.toolstack_finish_detach(domain, at(1)));
  run();
  CHECK(guest.read(seen(0, 1), 0x0e, 1).value == 0);
  // The next frontend finds it where it looks first.
  guest.unload();
  run();
  REQUIRE(guest.connect());
  REQUIRE(guest.functions().size() == 1);
  CHECK(guest.functions().front().address == first_slot);
  CHECK(backend(domain, "vdev-0") == "0000:00:00.00");
}

TEST_CASE_FIXTURE(multi_function_card, "xl's vslot counts more") {
  const auto domain = host.create_domain("guest");
  REQUIRE(host.toolstack_attach(domain, at(3), true));
  REQUIRE(host.xenstore().write(platform::sim::backend_path(domain) + "/vdevfn-0", "2b")); // 06:00.3@5, function 3
  run();
  CHECK(backend(domain, "vdev-0") == "0000:00:05.03");
  CHECK(backend(domain, "vdevfn-0") == "2b");
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  REQUIRE(guest.functions().size() == 1);
  CHECK(guest.functions().front().address == seen(5, 3));
}

TEST_CASE("the settings keep the numbers, as the kernel's backend does") {
  actors::settings settings;
  settings.function_numbers = pci::function_numbers::kept;
  multi_function_card world(0x80, settings);
  const auto domain = world.boot("guest", {multi_function_card::at(3)});
  frontend guest(world.host, domain, world);
  REQUIRE(guest.connect());
  REQUIRE(guest.functions().size() == 1);
  CHECK(guest.functions().front().address == multi_function_card::seen(0, 3));
  CHECK(world.backend(domain, "vdev-0") == "0000:00:00.03");
}

TEST_CASE("passthrough: a bus behind a bridge that the guest has is published once") {
  const auto bridge = pci::make_sbdf(0, 0, 2, 0), below = pci::make_sbdf(0, 9, 0, 0);
  actors::settings settings;
  settings.topology = pci::topology_mode::passthrough;
  two_cards world(settings);
  auto port = place(*builtin_model("bridge"), bridge);
  port.config.at(0x18) = std::byte{0};
  port.config.at(0x19) = port.config.at(0x1a) = std::byte{9};
  world.host.add_function(port);
  auto model = place(*builtin_model("e1000e"), below);
  model.bridges = {bridge};
  world.host.add_function(model);
  REQUIRE(world.hold(bridge));
  REQUIRE(world.hold(below));
  for (const bool bridge_first : {true, false}) {
    CAPTURE(bridge_first);
    const auto domain = bridge_first ? world.boot("guest", {bridge, below}) : world.boot("guest", {below, bridge});
    CHECK(world.backend(domain, "root_num") == "1");
    CHECK(world.backend(domain, "root-0") == "0000:00");
    frontend guest(world.host, domain, world);
    REQUIRE(guest.connect());
    CHECK(guest.functions().size() == 2);
    CHECK(guest.find(below) != nullptr);
    world.host.toolstack_destroy(domain);
    world.run();
    world.check_forgotten(domain);
  }
}

TEST_SUITE_END();
