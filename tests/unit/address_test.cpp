// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/address.hpp"

#include <cerrno>
#include <string>
#include <unordered_set>

#include <doctest/doctest.h>

using namespace pci;

namespace {

template <class T>
void refused(const result<T>& outcome, const std::string& words) {
  REQUIRE(!outcome);
  CHECK(outcome.error().error == EINVAL);
  CHECK(outcome.error().context == words);
}

} // namespace

TEST_CASE("address: each way of writing one") {
  const sbdf nic = make_sbdf(0x12, 0x3, 0x1f, 7);
  CHECK(to_string(nic) == "0012:03:1f.7");
  CHECK(to_vdev_string(nic) == "0012:03:1f.07");
  CHECK(to_libxl_string(nic) == "0012-03-1f-7");
  CHECK(nic.machine() == 0x1203ff);
  CHECK(make_sbdf(0xffff, 0xff, 0x1f, 7).machine() == 0xffffffff);
}

TEST_CASE("address: reads with and without a segment, amid white space") {
  CHECK(parse_sbdf("0000:03:00.0") == make_sbdf(0, 3, 0, 0));
  CHECK(parse_sbdf("03:1F.7") == make_sbdf(0, 3, 0x1f, 7));
  CHECK(parse_sbdf(" \tffff:Ff:1f.7\n") == make_sbdf(0xffff, 0xff, 0x1f, 7));
  CHECK(parse_sbdf("1:2:3.4") == make_sbdf(1, 2, 3, 4));
  CHECK(parse_sbdf("00000000000000000001:2:3.4") == make_sbdf(1, 2, 3, 4));
}

TEST_CASE("address: says what is wrong, and where") {
  refused(parse_sbdf("\x01"
                     "03:00.0"),
          "\"?03:00.0\": expected a bus, 0 to ff at column 1");
  refused(parse_sbdf(""), "\"\": expected a bus, 0 to ff at column 1");
  refused(parse_sbdf("eth0"), "\"eth0\": expected ':' at column 2");
  refused(parse_sbdf("10000:00:40.0"), "\"10000:00:40.0\": expected a segment, 0 to ffff at column 1");
  refused(parse_sbdf("100:00.0"), "\"100:00.0\": expected a bus, 0 to ff at column 1");
  refused(parse_sbdf("0000:03:20.0"), "\"0000:03:20.0\": expected a slot, 0 to 1f at column 9");
  refused(parse_sbdf("0000:03:00.8"), "\"0000:03:00.8\": expected a function, 0 to 7 at column 12");
  refused(parse_sbdf("0000:03:00"), "\"0000:03:00\": expected '.' at column 11");
  refused(parse_sbdf("0000:03:00.0x"), "\"0000:03:00.0x\": expected nothing more at column 13");
  refused(parse_sbdf("0000:03:00.*"), "\"0000:03:00.*\": expected a function, 0 to 7 at column 12");
  refused(parse_sbdf("0000:03:-1.0"), "\"0000:03:-1.0\": expected a slot, 0 to 1f at column 9");
  refused(parse_sbdf("0: 3:0.0"), "\"0: 3:0.0\": expected a bus, 0 to ff at column 3");
  refused(parse_sbdf("100000000:0.0"), "\"100000000:0.0\": expected a bus, 0 to ff at column 1"); // 2^32
  refused(parse_sbdf("ffffffffffffffffff:0.0"), "\"ffffffffffffffffff:0.0\": expected a bus, 0 to ff at column 1");
}

TEST_CASE("address: one in a segment that Xen has no number for is told as such") {
  for (const auto* text : {"10000:e1:00.0", "10000:00:1f.7", "ffffffff:00:00.0"}) {
    CHECK(pci::is_beyond_xen(text));
    CHECK(parse_sbdf(text).error().context.find("is beyond Xen, which knows segments up to ffff") != std::string::npos);
    CHECK(pci::parse_pattern(text).error().context.find("Intel VMD") != std::string::npos);
  }
  // A line's end behind it, and more zeros than anybody writes, are not repeated.
  auto blanks = std::string(300, '0');
  blanks.append("e1:0.0\r\n\t \v").append(300, ' ');
  refused(parse_sbdf("fCCff:f:A.0\n"),
          "fCCff:0f:0a.0 is beyond Xen, which knows segments up to ffff: no guest can have "
          "it; with Intel VMD off in the firmware's setup the card has an address of the "
          "usual kind");
  for (const auto& found : {parse_sbdf("10000:" + blanks).error(), pci::parse_pattern("10000:" + blanks).error()}) {
    CHECK(found.context.rfind("10000:e1:00.0 is beyond Xen", 0) == 0);
    CHECK(found.context.size() < 200);
  }
  for (const auto* text : {"", ":", "0000:e1:00.0", "00000:e1:00.0", "10000:e1:20.0", "10000:e1:00.8", "10000:e1:00",
                           "1x000:e1:00.0", "100000000:e1:00.0", "10000:10000:e1:00.0", "pci10000:e1"}) {
    CHECK_FALSE(pci::is_beyond_xen(text));
  }
}

TEST_CASE("address: an error shows hostile text bounded and printable") {
  refused(parse_sbdf("\x1b[2J\x7f"), "\"?[2J?\": expected a bus, 0 to ff at column 1");
  const auto long_text = parse_sbdf(std::string(100000, 'x'));
  refused(long_text, "\"" + std::string(80, 'x') + "\"...: expected a bus, 0 to ff at column 1");
}

TEST_CASE("address: nodes always have a segment, and either width of function") {
  CHECK(parse_node_sbdf("0000:00:00.00") == sbdf{});
  CHECK(parse_node_sbdf("0001:02:03.04") == make_sbdf(1, 2, 3, 4));
  CHECK(parse_node_sbdf("0001:02:03.4") == make_sbdf(1, 2, 3, 4));
  refused(parse_node_sbdf("02:03.4"), "\"02:03.4\": expected ':' at column 6");
  refused(parse_node_sbdf("0000:00:00.08"), "\"0000:00:00.08\": expected a function, 0 to 7 at column 12");
}

TEST_CASE("address: what is written is read again as the same") {
  std::unordered_set<sbdf> seen;
  for (const unsigned segment : {0U, 1U, 0xabcU, 0xffffU})
    for (unsigned bus = 0; bus <= 0xff; bus += 5)
      for (unsigned devfn = 0; devfn <= 0xff; ++devfn) {
        const sbdf one{static_cast<std::uint16_t>(segment), static_cast<std::uint8_t>(bus),
                       static_cast<std::uint8_t>(devfn)};
        REQUIRE(parse_sbdf(to_string(one)) == one);
        REQUIRE(parse_node_sbdf(to_string(one)) == one);
        REQUIRE(parse_node_sbdf(to_vdev_string(one)) == one);
        REQUIRE(parse_pattern(to_string(one))->matches(one));
        if (segment == 0) // without its segment, too
          REQUIRE(parse_sbdf(to_string(one).substr(5)) == one);
        REQUIRE(seen.insert(one).second);
      }
}

TEST_CASE("address pattern: wildcards for the function, or for slot and function") {
  CHECK(parse_pattern("0001:02:03.4") == sbdf_pattern{1, 2, 3, 4});
  CHECK(parse_pattern(" 02:03.* ") == sbdf_pattern{0, 2, 3, {}});
  CHECK(parse_pattern("0001:02:*.*") == sbdf_pattern{1, 2, {}, {}});
  CHECK(sbdf_pattern{1, 2, 3, 4} != sbdf_pattern{0, 2, 3, 4});
  CHECK(sbdf_pattern{1, 2, 3, 4} != sbdf_pattern{1, 0, 3, 4});
  CHECK(sbdf_pattern{1, 2, 3, 4} != sbdf_pattern{1, 2, {}, 4});
  CHECK(sbdf_pattern{1, 2, 3, 4} != sbdf_pattern{1, 2, 3, {}});
  refused(parse_pattern("02:*.3"), "\"02:*.3\": expected '*' at column 6");
  refused(parse_pattern("*:*.*"), "\"*:*.*\": expected a bus, 0 to ff at column 1");
  refused(parse_pattern("02:03.* x"), "\"02:03.* x\": expected nothing more at column 9");
  refused(parse_pattern("02:*"), "\"02:*\": expected '.' at column 5");
}

TEST_CASE("address pattern: matches exactly what it names") {
  for (unsigned devfn = 0; devfn <= 0xff; ++devfn) {
    const sbdf one{1, 2, static_cast<std::uint8_t>(devfn)};
    CHECK(sbdf_pattern{1, 2, {}, {}}.matches(one));
    CHECK(sbdf_pattern{1, 2, 3, {}}.matches(one) == (devfn >> 3 == 3));
    CHECK(sbdf_pattern{1, 2, 3, 4}.matches(one) == (devfn == 0x1c));
    CHECK(!sbdf_pattern{0, 2, {}, {}}.matches(one));
    CHECK(!sbdf_pattern{1, 3, {}, {}}.matches(one));
  }
}

TEST_CASE("hide list: parenthesised patterns back to back") {
  CHECK(parse_hide_list("")->empty());
  CHECK(parse_hide_list("  ")->empty());
  CHECK(parse_hide_list("(0001:02:03.4)(02:03.5)(02:03.*)( 0001:02:*.* ) ") ==
        std::vector<sbdf_pattern>{{1, 2, 3, 4}, {0, 2, 3, 5}, {0, 2, 3, {}}, {1, 2, {}, {}}});
  CHECK(parse_hide_list("(02:03.5) (02:03.6)")->size() == 2);
}

TEST_CASE("hide list: an error shows the rest of the text") {
  refused(parse_hide_list("(02:03.5)02:03.6"), "\"02:03.6\": expected '(' at column 1");
  refused(parse_hide_list("(02:03.5)(02:20.6)(02:1.1)"), "\"(02:20.6)(02:1.1)\": expected a slot, 0 to 1f at column 5");
  refused(parse_hide_list("(02:03.5"), "\"(02:03.5\": expected ')' at column 9");
  refused(parse_hide_list("(02:03)(1:02:03.5)"), "\"(02:03)(1:02:03.5)\": expected '.' at column 7");
  refused(parse_hide_list("()"), "\"()\": expected a bus, 0 to ff at column 2");
}
