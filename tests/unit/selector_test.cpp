// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/selector.hpp"

#include <cerrno>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace pci;

namespace {

const auto nic = make_sbdf(0, 3, 0, 0);

identity network_card(const sbdf& address = nic) { return {address, 0x8086, 0x10d3, 0x020000}; }

template <class T>
void refused(const result<T>& outcome, const std::string& words) {
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().error == EINVAL);
  CHECK(outcome.error().context == words);
}

selector by_ids(std::string_view text) {
  selector made;
  made.ids = parse_ids(text).value();
  return made;
}

selector by_class(std::string_view text) {
  selector made;
  made.classes = parse_class(text).value();
  return made;
}

selector by_address(std::string_view text) { return parse_pattern(text).value(); }

void put(function& into, std::size_t offset, std::uint32_t value) {
  for (unsigned i = 0; i < 4; ++i)
    into.config.at(offset + i) = static_cast<std::byte>(value >> (8 * i));
}

/// A card with a board and a serial number of its own.
function card(std::uint64_t serial = 0x525400ffff123456, std::uint32_t board = 0x00018086) {
  function made;
  made.address = nic;
  made.vendor = 0x8086;
  made.device = 0x10d3;
  made.class_code = 0x020000;
  made.config.resize(4096);
  put(made, 0x2c, board);
  put(made, 0x100, 0x14020001); // advanced error reporting, the next at 140
  put(made, 0x140, 0x00010003); // the serial number
  put(made, 0x144, static_cast<std::uint32_t>(serial));
  put(made, 0x148, static_cast<std::uint32_t>(serial >> 32));
  return made;
}

} // namespace

TEST_CASE("selector ids: a vendor's device, or all that it has made") {
  CHECK(parse_ids("8086:10d3").value() == id_pattern{0x8086, 0x10d3});
  CHECK(parse_ids(" 8086:* ").value() == id_pattern{0x8086, std::nullopt});
  CHECK(parse_ids("1:2").value() == id_pattern{1, 2});
  CHECK(to_string(id_pattern{0x8086, 0x10d3}) == "8086:10d3");
  CHECK(to_string(id_pattern{0x1b36, std::nullopt}) == "1b36:*");
  CHECK(id_pattern{0x8086, 0x10d3}.matches(network_card()));
  CHECK(id_pattern{0x8086, std::nullopt}.matches(network_card()));
  CHECK_FALSE(id_pattern{0x8086, 0x10d4}.matches(network_card()));
  CHECK_FALSE(id_pattern{0x8087, std::nullopt}.matches(network_card()));
}

TEST_CASE("selector ids: what is no pair of ids is refused, and where") {
  refused(parse_ids(""), "\"\": expected a vendor, 0 to ffff at column 1");
  refused(parse_ids("*:10d3"), "\"*:10d3\": expected a vendor, 0 to ffff at column 1");
  refused(parse_ids("8086"), "\"8086\": expected ':' at column 5");
  refused(parse_ids("8086:"), "\"8086:\": expected a device or '*', 0 to ffff at column 6");
  refused(parse_ids("18086:1"), "\"18086:1\": expected a vendor, 0 to ffff at column 1");
  refused(parse_ids("8086:10d3:1"), "\"8086:10d3:1\": expected nothing more at column 10");
  refused(parse_ids("8086:**"), "\"8086:**\": expected nothing more at column 7");
}

TEST_CASE("selector class: each digit counts that is given and is no wildcard") {
  struct row {
    const char* text;
    class_pattern is;
    const char* again;
  };
  static constexpr row rows[] = {
      {"02", {0x020000, 0xff0000}, "02"},         {"0200", {0x020000, 0xffff00}, "0200"},
      {"010802", {0x010802, 0xffffff}, "010802"}, {"0c03*0", {0x0c0300, 0xffff0f}, "0c03*0"},
      {"**80", {0x008000, 0x00ff00}, "**80"},     {"0*", {0x000000, 0xf00000}, "0*"},
      {"02****", {0x020000, 0xff0000}, "02"},     {" 0C03 ", {0x0c0300, 0xffff00}, "0c03"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto got = parse_class(row.text);
    REQUIRE(got);
    CHECK(*got == row.is);
    CHECK(to_string(*got) == row.again);
    CHECK(parse_class(to_string(*got)) == *got);
  }
  CHECK(class_pattern{0x020000, 0xff0000}.matches({nic, 0, 0, 0x028001}));
  CHECK_FALSE(class_pattern{0x020000, 0xff0000}.matches({nic, 0, 0, 0x030000}));
  CHECK_FALSE(class_pattern{0x020000, 0xffff00}.matches({nic, 0, 0, 0x028000}));
  CHECK(class_pattern{0x0c0300, 0xffff0f}.matches({nic, 0, 0, 0x0c0330}));
  CHECK_FALSE(class_pattern{0x0c0300, 0xffff0f}.matches({nic, 0, 0, 0x0c0331}));
}

TEST_CASE("selector class: what is no class is refused, and where") {
  const std::string wanted = "expected 2, 4 or 6 digits of a class, some of which may be '*', at column ";
  refused(parse_class(""), "\"\": " + wanted + "1");
  refused(parse_class("020"), "\"020\": " + wanted + "4");
  refused(parse_class("02x0"), "\"02x0\": expected nothing more at column 3");
  refused(parse_class("0x0200"), "\"0x0200\": " + wanted + "2");
  refused(parse_class("0200000"), "\"0200000\": expected nothing more at column 7");
  refused(parse_class("**"), "\"**\": " + wanted + "3");
  refused(parse_class("******"), "\"******\": " + wanted + "7");
}

TEST_CASE("selector: all that is set must match, and nothing is matched by nothing") {
  CHECK_FALSE(selector{}.matches(network_card()));
  CHECK(selector{nic}.matches(network_card()));
  CHECK_FALSE(selector{nic}.matches(network_card(make_sbdf(0, 3, 0, 1))));
  CHECK(by_address("03:00.*").matches(network_card(make_sbdf(0, 3, 0, 7))));
  CHECK_FALSE(by_address("03:00.*").matches(network_card(make_sbdf(0, 3, 1, 0))));
  CHECK(by_ids("8086:10d3").matches(network_card()));
  CHECK(by_class("02").matches(network_card()));
  auto all = by_address("03:*.*");
  all.ids = parse_ids("8086:*").value();
  all.classes = parse_class("02").value();
  CHECK(all.matches(network_card()));
  CHECK_FALSE(all.matches(network_card(make_sbdf(0, 4, 0, 0))));
  CHECK_FALSE(all.matches({nic, 0x1b36, 0x10d3, 0x020000}));
  CHECK_FALSE(all.matches({nic, 0x8086, 0x10d3, 0x010802}));
}

TEST_CASE("selector: the more exact has precedence") {
  auto address_and_class = by_address("03:00.0");
  address_and_class.classes = parse_class("02").value();
  auto bus_and_ids = by_address("03:*.*");
  bus_and_ids.ids = parse_ids("8086:10d3").value();
  auto ids_and_class = by_ids("8086:*");
  ids_and_class.classes = parse_class("020000").value();
  // From the least exact to the most exact.
  const std::vector<selector> order{by_class("0*"),        by_class("02"),        by_class("0200"),
                                    by_class("020000"),    by_ids("8086:*"),      ids_and_class,
                                    by_ids("8086:10d3"),   by_address("03:*.*"),  bus_and_ids,
                                    by_address("03:00.*"), by_address("03:00.0"), address_and_class};
  for (std::size_t i = 0; i < order.size(); ++i)
    for (std::size_t j = 0; j < order.size(); ++j) {
      CAPTURE(to_string(order[i]));
      CAPTURE(to_string(order[j]));
      CHECK((order[i].exactness() < order[j].exactness()) == (i < j));
    }
}

TEST_CASE("selector: which name one function, and how each reads") {
  CHECK(selector{nic}.whole_address() == nic);
  CHECK(by_address("03:00.0") == selector{nic});
  CHECK(selector{nic}.is_plain());
  CHECK_FALSE(by_address("03:00.*").whole_address());
  CHECK_FALSE(by_class("02").whole_address());
  CHECK_FALSE(selector{}.whole_address());
  auto both = selector{nic};
  both.classes = parse_class("02").value();
  CHECK(both.whole_address() == nic);
  CHECK_FALSE(both.is_plain());
  CHECK(to_string(both) == "0000:03:00.0 of class 02");
  CHECK(to_string(by_address("0001:03:00.*")) == "0001:03:00.*");
  CHECK(to_string(by_address("03:*.*")) == "0000:03:*.*");
  CHECK(to_string(by_ids("8086:*")) == "8086:*");
  CHECK(to_string(selector{}) == "nothing");
}

TEST_CASE("selector: bridges are those of class 06") {
  CHECK(is_bridge({nic, 0, 0, 0x060000}));
  CHECK(is_bridge({nic, 0, 0, 0x060400}));
  CHECK_FALSE(is_bridge(network_card()));
  CHECK_FALSE(is_bridge({nic, 0, 0, 0x160000}));
}

TEST_CASE("pin: what a card says of itself") {
  const auto one = card();
  CHECK(identity_of(one) == network_card());
  CHECK(serial_number(one) == 0x525400ffff123456);
  CHECK(subsystem(one) == subsystem_ids{0x8086, 0x0001});
  auto conventional = card();
  conventional.config.resize(256);
  CHECK_FALSE(serial_number(conventional));
  auto bridge = card();
  put(bridge, 0x0c, 0x00810000);
  CHECK_FALSE(subsystem(bridge));
}

TEST_CASE("pin: a serial number is written as lspci writes it") {
  CHECK(serial_to_string(0x525400ffff123456) == "52-54-00-ff-ff-12-34-56");
  CHECK(parse_serial("52-54-00-FF-ff-12-34-56") == 0x525400ffff123456);
  CHECK(parse_serial(serial_to_string(0xfedcba9876543210)) == 0xfedcba9876543210);
  refused(parse_serial("52-54-00"), "\"52-54-00\": expected '-' at column 9");
  refused(parse_serial("52-54-00-ff-ff-12-34-156"),
          "\"52-54-00-ff-ff-12-34-156\": expected a byte, 0 to ff at column 22");
  refused(parse_serial("52-54-00-ff-ff-12-34-56-78"),
          "\"52-54-00-ff-ff-12-34-56-78\": expected nothing more at column 24");
}

TEST_CASE("pin: the first thing that is another than pinned is said") {
  const pin all{id_pattern{0x8086, 0x10d3}, subsystem_ids{0x8086, 1}, 0x525400ffff123456};
  CHECK(mismatch(all, card()).empty());
  CHECK(mismatch({}, card()).empty());
  CHECK(pin{}.empty());
  CHECK_FALSE(all.empty());

  auto other = card();
  other.device = 0x1533;
  CHECK(mismatch(all, other) == "its ids are 8086:1533 where 8086:10d3 is pinned");
  CHECK(mismatch(all, card(0x525400ffff123456, 0x00021028)) == "its subsystem is 1028:0002 where 8086:0001 is pinned");
  CHECK(mismatch(all, card(0x525400ffff123457)) ==
        "its serial number is 52-54-00-ff-ff-12-34-57 where 52-54-00-ff-ff-12-34-56 is pinned");
  auto nameless = card();
  nameless.config.resize(256);
  CHECK(mismatch(all, nameless) == "its serial number is absent where 52-54-00-ff-ff-12-34-56 is pinned");
  const pin serial_only{std::nullopt, std::nullopt, 0x525400ffff123456};
  CHECK(mismatch(serial_only, other).empty());
}
