// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/topology.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <doctest/doctest.h>

using namespace pci;

namespace {

constexpr sbdf seen_at(std::uint8_t slot, std::uint8_t function) { return make_sbdf(0, 0, slot, function); }

} // namespace

TEST_CASE("vpci, numbers kept: functions of one physical slot share a slot, numbers are kept") {
  topology bus{topology_mode::vpci, function_numbers::kept};
  CHECK(bus.add(make_sbdf(0, 3, 0, 1)) == seen_at(0, 1));
  CHECK(bus.add(make_sbdf(0, 4, 0, 0)) == seen_at(1, 0));
  CHECK(bus.add(make_sbdf(0, 3, 0, 0)) == seen_at(0, 0));
  CHECK(bus.add(make_sbdf(0, 3, 1, 0)) == seen_at(2, 0));  // another physical slot
  CHECK(bus.add(make_sbdf(1, 3, 0, 2)) == seen_at(3, 2));  // another segment
  CHECK(bus.add(make_sbdf(0, 13, 0, 3)) == seen_at(4, 3)); // another bus
  CHECK(bus.size() == 6);
}

TEST_CASE("vpci, numbers kept: a lone function has no function 0 beside it, and does not get one") {
  topology bus{topology_mode::vpci, function_numbers::kept};
  CHECK(bus.add(make_sbdf(0, 3, 0, 3)) == seen_at(0, 3));
  bus.settle();
  CHECK(bus.virtual_address(make_sbdf(0, 3, 0, 3)) == seen_at(0, 3));
}

TEST_CASE("vpci, numbers kept: a virtual function 0 has a slot of its own, and nobody joins it") {
  topology bus{topology_mode::vpci, function_numbers::kept};
  CHECK(bus.add(make_sbdf(0, 3, 0, 0)) == seen_at(0, 0));
  CHECK(bus.add(make_sbdf(0, 3, 16, 0), {true}) == seen_at(1, 0));
  CHECK(bus.add(make_sbdf(0, 3, 16, 1), {true}) == seen_at(2, 1)); // beside none of its kind: the first empty slot
  CHECK(bus.add(make_sbdf(0, 3, 16, 2), {true}) == seen_at(2, 2)); // beside the virtual function 1
  CHECK(bus.add(make_sbdf(0, 3, 16, 3)) == seen_at(2, 3));
}

TEST_CASE("vpci, numbers kept: a virtual function other than 0 joins the functions of its physical slot") {
  topology bus{topology_mode::vpci, function_numbers::kept};
  CHECK(bus.add(make_sbdf(0, 3, 0, 0)) == seen_at(0, 0));
  CHECK(bus.add(make_sbdf(0, 3, 0, 2), {true}) == seen_at(0, 2));
}

TEST_CASE("vpci, numbers kept: a virtual function 0 does not join, even where its slot has one") {
  topology bus{topology_mode::vpci, function_numbers::kept};
  CHECK(bus.add(make_sbdf(0, 3, 0, 1), {true}) == seen_at(0, 1));
  CHECK(bus.add(make_sbdf(0, 3, 0, 0), {true}) == seen_at(1, 0));
  CHECK(bus.add(make_sbdf(0, 3, 0, 2), {true}) == seen_at(0, 2));
}

TEST_CASE("vpci, numbers kept: the first function of a slot decides, and goes with its removal") {
  topology bus{topology_mode::vpci, function_numbers::kept};
  REQUIRE(bus.adopt(make_sbdf(0, 3, 0, 0), seen_at(5, 0), true));
  REQUIRE(bus.adopt(make_sbdf(0, 3, 0, 1), seen_at(5, 1), true));
  CHECK(bus.add(make_sbdf(0, 3, 0, 2)) == seen_at(0, 2));
  CHECK(bus.remove(make_sbdf(0, 3, 0, 2)));
  CHECK(bus.remove(make_sbdf(0, 3, 0, 0)));
  CHECK(bus.add(make_sbdf(0, 3, 0, 2)) == seen_at(5, 2));
}

TEST_CASE("vpci: a lone function of a card is function 0, a virtual one too") {
  topology bus{topology_mode::vpci};
  CHECK(bus.add(make_sbdf(0, 6, 0, 3)) == seen_at(0, 0));
  CHECK(bus.add(make_sbdf(0, 3, 16, 5), {true}) == seen_at(1, 0));
  CHECK(bus.add(make_sbdf(0, 3, 16, 0), {true}) == seen_at(2, 0));
  CHECK(bus.add(make_sbdf(1, 6, 0, 3)) == seen_at(3, 0)); // another segment
  CHECK(bus.find(0, 0, 0) == make_sbdf(0, 6, 0, 3));
  CHECK(!bus.find(0, 0, 3));
  bus.settle();
  CHECK(bus.virtual_address(make_sbdf(0, 6, 0, 3)) == seen_at(0, 0));
}

TEST_CASE("vpci: before the guest looks, the order in which a card's functions came makes no difference") {
  const std::array<sbdf, 3> card{make_sbdf(0, 3, 0, 0), make_sbdf(0, 3, 0, 1), make_sbdf(0, 3, 0, 4)};
  std::array<std::size_t, 3> order{0, 1, 2};
  do {
    topology bus{topology_mode::vpci};
    for (const auto which : order) {
      const auto place = bus.add(card.at(which));
      REQUIRE(place);
      CHECK(place->slot() == 0);
      CHECK(bus.find(0, 0, 0)); // at any moment
      bus.settle();
      CHECK(bus.find(0, 0, 0));
    }
    for (const auto& each : card)
      CHECK(bus.virtual_address(each) == seen_at(0, each.function()));
    // Number 0 leaves: another takes its place, for who looks then.
    CHECK(bus.remove(card[0]));
    bus.settle();
    CHECK(bus.find(0, 0, 0));
    CHECK(bus.size() == 2);
  } while (std::ranges::next_permutation(order).found);
}

TEST_CASE("vpci: a hot-plugged function leaves the others where the guest has seen them") {
  topology bus{topology_mode::vpci};
  CHECK(bus.add(make_sbdf(0, 3, 0, 1)) == seen_at(0, 0));
  CHECK(bus.add(make_sbdf(0, 3, 0, 0)) == seen_at(0, 1)); // its number is taken: the first that is free
  CHECK(bus.add(make_sbdf(0, 3, 0, 4)) == seen_at(0, 4));
  CHECK(bus.add(make_sbdf(0, 3, 0, 2)) == seen_at(0, 2));
  CHECK(bus.virtual_address(make_sbdf(0, 3, 0, 1)) == seen_at(0, 0));
  CHECK(bus.remove(make_sbdf(0, 3, 0, 1)));
  CHECK(bus.add(make_sbdf(0, 3, 0, 5)) == seen_at(0, 0)); // the slot had no function 0 any more
}

TEST_CASE("vpci: a slot of virtual functions has a function 0, and one whose number is 0 stays alone") {
  topology bus{topology_mode::vpci};
  CHECK(bus.add(make_sbdf(0, 3, 16, 1), {true}) == seen_at(0, 0));
  CHECK(bus.add(make_sbdf(0, 3, 16, 2), {true}) == seen_at(0, 2));
  CHECK(bus.add(make_sbdf(0, 3, 16, 0), {true}) == seen_at(1, 0));
  bus.settle();
  CHECK(bus.virtual_address(make_sbdf(0, 3, 16, 0)) == seen_at(1, 0));
  CHECK(bus.virtual_address(make_sbdf(0, 3, 16, 1)) == seen_at(0, 0));
}

TEST_CASE("vpci: where xl wants a function it is, when that is free") {
  topology bus{topology_mode::vpci};
  CHECK(bus.add(make_sbdf(0, 3, 0, 1), {false, {}, 5 << 3}) == seen_at(5, 0));
  CHECK(bus.add(make_sbdf(0, 3, 0, 2), {false, {}, 5 << 3 | 3}) == seen_at(5, 3));
  CHECK(bus.add(make_sbdf(0, 4, 0, 0), {false, {}, 5 << 3 | 1}) == seen_at(0, 0)); // another card's slot
  CHECK(bus.add(make_sbdf(0, 5, 0, 0), {false, {}, 5 << 3}) == seen_at(1, 0));
  CHECK(bus.add(make_sbdf(0, 6, 0, 3), {false, {}, 3}) == seen_at(2, 0)); // libxl writes a function without a slot
  CHECK(bus.add(make_sbdf(0, 7, 0, 2), {false, {}, 31 << 3 | 7}) == seen_at(31, 7));
  bus.settle();
  CHECK(bus.virtual_address(make_sbdf(0, 3, 0, 2)) == seen_at(5, 3));
  CHECK(bus.virtual_address(make_sbdf(0, 7, 0, 2)) == seen_at(31, 7));
  topology host{topology_mode::passthrough};
  CHECK(host.add(make_sbdf(0, 3, 0, 1), {false, {}, 5 << 3}) == make_sbdf(0, 3, 0, 1));
}

TEST_CASE("vpci: 32 slots, then ENOMEM; a shared slot still takes its kind; a removal makes room") {
  topology bus{topology_mode::vpci};
  for (std::uint8_t slot = 0; slot < 32; ++slot)
    REQUIRE(bus.add(make_sbdf(0, 9, slot, 0)) == seen_at(slot, 0));
  const auto refused = bus.add(make_sbdf(0, 10, 0, 0));
  REQUIRE(!refused);
  CHECK(refused.error().error == ENOMEM);
  CHECK(refused.error().context == "0000:0a:00.0: No more space on root virtual PCI bus");
  CHECK(bus.size() == 32);
  const auto again = bus.add(make_sbdf(0, 9, 7, 0), {true}); // would need a slot of its own
  REQUIRE(!again);
  CHECK(again.error().error == EEXIST);
  CHECK(bus.add(make_sbdf(0, 9, 4, 5)) == seen_at(4, 5));
  CHECK(bus.remove(make_sbdf(0, 9, 17, 0)));
  CHECK(!bus.remove(make_sbdf(0, 9, 17, 0)));
  CHECK(bus.add(make_sbdf(0, 10, 0, 0)) == seen_at(17, 0));
}

TEST_CASE("topology: a function has one place") {
  for (const auto mode : {topology_mode::vpci, topology_mode::passthrough}) {
    topology bus{mode};
    REQUIRE(bus.add(make_sbdf(0, 3, 0, 0)));
    const auto again = bus.add(make_sbdf(0, 3, 0, 0));
    REQUIRE(!again);
    CHECK(again.error().error == EEXIST);
    CHECK(again.error().context.find("0000:03:00.0 has its place at") == 0);
    CHECK(bus.adopt(make_sbdf(0, 3, 0, 0), seen_at(9, 0), false).error().error == EEXIST);
    CHECK(bus.size() == 1);
  }
}

TEST_CASE("topology: an adopted function is where it was, and its place is taken") {
  topology bus{topology_mode::vpci};
  REQUIRE(bus.adopt(make_sbdf(0, 3, 0, 1), seen_at(4, 1), false));
  CHECK(bus.virtual_address(make_sbdf(0, 3, 0, 1)) == seen_at(4, 1));
  const auto taken = bus.adopt(make_sbdf(0, 5, 0, 1), seen_at(4, 1), false);
  REQUIRE(!taken);
  CHECK(taken.error().error == EEXIST);
  CHECK(taken.error().context == "0000:05:00.1: 0000:03:00.1 is at 0000:00:04.1 already");
  CHECK(bus.add(make_sbdf(0, 3, 0, 0)) == seen_at(4, 0));
  // What another backend placed without keeping the number does not get a second function on top of it.
  REQUIRE(bus.adopt(make_sbdf(0, 6, 0, 0), seen_at(6, 2), false));
  REQUIRE(bus.adopt(make_sbdf(0, 6, 0, 1), seen_at(6, 0), false));
  CHECK(bus.add(make_sbdf(0, 6, 0, 2)) == seen_at(6, 1));
}

TEST_CASE("passthrough: the guest sees the host's addresses") {
  topology bus{topology_mode::passthrough};
  CHECK(bus.add(make_sbdf(1, 3, 4, 5), {true}) == make_sbdf(1, 3, 4, 5));
  CHECK(bus.find(1, 3, 0x25) == make_sbdf(1, 3, 4, 5));
  CHECK(!bus.find(0, 3, 0x25));
  REQUIRE(bus.adopt(make_sbdf(0, 7, 0, 0), make_sbdf(0, 8, 0, 0), false));
  CHECK(bus.add(make_sbdf(0, 8, 0, 0)).error().error == EEXIST);
}

TEST_CASE("roots: one for vpci, one for each segment and bus with passthrough") {
  using root = topology::root;
  CHECK(topology{topology_mode::vpci}.roots() == std::vector{root{0, 0}});
  topology bus{topology_mode::passthrough};
  CHECK(bus.roots().empty());
  for (const auto& host : {make_sbdf(1, 3, 0, 0), make_sbdf(0, 5, 0, 0), make_sbdf(0, 3, 0, 0), make_sbdf(0, 3, 1, 0)})
    REQUIRE(bus.add(host));
  CHECK(bus.roots() == std::vector{root{1, 3}, root{0, 5}, root{0, 3}});
  CHECK(bus.remove(make_sbdf(0, 3, 0, 0)));
  CHECK(bus.roots().size() == 3);
  CHECK(bus.remove(make_sbdf(0, 3, 1, 0)));
  CHECK(bus.roots() == std::vector{root{1, 3}, root{0, 5}});
}

TEST_CASE("roots: a bus behind a bridge that the guest has is not published beside the bridge's own") {
  using root = topology::root;
  topology bus{topology_mode::passthrough};
  const auto bridge = make_sbdf(0, 0, 28, 0), upper = make_sbdf(0, 4, 0, 0);
  REQUIRE(bus.add(make_sbdf(0, 5, 0, 0), {false, {upper, bridge}}));
  CHECK(bus.roots() == std::vector{root{0, 5}});
  REQUIRE(bus.add(make_sbdf(0, 6, 0, 0), {false, {make_sbdf(0, 0, 29, 0)}}));
  REQUIRE(bus.add(bridge));
  CHECK(bus.roots() == std::vector{root{0, 6}, root{0, 0}});
  REQUIRE(bus.add(upper, {false, {bridge}}));
  CHECK(bus.roots() == std::vector{root{0, 6}, root{0, 0}});
  CHECK(bus.remove(bridge));
  CHECK(bus.roots() == std::vector{root{0, 6}, root{0, 4}});
}

TEST_CASE("topology: a look-up takes any 32-bit numbers and finds exactly what is there") {
  topology bus{topology_mode::vpci, function_numbers::kept};
  REQUIRE(bus.add(make_sbdf(0, 3, 0, 1)));
  for (std::uint32_t devfn = 0; devfn < 0x200; ++devfn)
    CHECK(bus.find(0, 0, devfn).has_value() == (devfn == 1));
  CHECK(bus.find(0, 0, 1) == make_sbdf(0, 3, 0, 1));
  for (const std::uint32_t high : {1U, 0x100U, 0x10000U, 0x80000000U, 0xffffffffU}) {
    CHECK(!bus.find(high, 0, 1));
    CHECK(!bus.find(0, high, 1));
    CHECK(!bus.find(0, 0, high + 1));
  }
  CHECK(!bus.virtual_address(make_sbdf(0, 0, 0, 1)));
}
