// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "pci/policy.hpp"

TEST_CASE("a quirk is read") {
  CHECK(pci::parse_quirk("44:2:ff00").value() == pci::quirk{0x44, 2, 0xff00});
  CHECK(pci::parse_quirk("ffc:4:ffffffff").value() == pci::quirk{0xffc, 4, 0xffffffff});
  CHECK(pci::parse_quirk("FFF:1:Ff").value() == pci::quirk{0xfff, 1, 0xff});
  CHECK(pci::parse_quirk("45:2:ff00").value() == pci::quirk{0x45, 2, 0xff00}); // the kernel takes it, too
  CHECK(pci::parse_quirk("46:4:ff").value() == pci::quirk{0x46, 4, 0xff});
  CHECK(pci::parse_quirk(" \t0:1:0\r\n").value() == pci::quirk{0, 1, 0});
  CHECK(pci::parse_quirk("0x44:0X2:0xff").value() == pci::quirk{0x44, 2, 0xff});
}

TEST_CASE("a quirk that is none is shown in one line, whatever it is") {
  CHECK(pci::parse_quirk("4c:4:f\f").error().context == "quirk \"4c:4:f?\": expected REG:SIZE:MASK, hexadecimal");
  CHECK(pci::parse_quirk("4c:3:f\n").error().context == "quirk \"4c:3:f?\": the size is not 1, 2 or 4");
  CHECK(pci::parse_addressed_quirk("\x1b[2J").error().context ==
        "quirk \"?[2J\": expected [DDDD:]BB:SS.F-REG:SIZE:MASK, hexadecimal");
  CHECK(pci::parse_quirk(std::string(10000, 'z')).error().context.size() < 200);
}

TEST_CASE("a quirk that is none is refused with EINVAL and shown") {
  for (const char* text : {"",
                           " ",
                           "44",
                           "44:2",
                           "44:2:",
                           "44::ff",
                           ":2:ff",
                           "44:2:ff:",
                           "44:2:ff:0",
                           "44:2:fg",
                           "44:2:-1",
                           "+44:2:ff",
                           "44 :2:ff",
                           "0x:2:ff",
                           "44:2:0x",
                           "1000:1:ff",
                           "fffffffff:1:0",
                           "44:0:0",
                           "44:3:ff",
                           "44:8:ff",
                           "44:10:ff",
                           "fff:2:ff",
                           "44:1:100",
                           "44:2:10000",
                           "44:4:100000000",
                           "ffe:4:0",
                           "0:ffffffff:0",
                           "0x0x44:2:ff"}) {
    CAPTURE(text);
    const auto got = pci::parse_quirk(text);
    REQUIRE(!got);
    CHECK(got.error().error == EINVAL);
    CHECK(got.error().context.find(std::string{"\""} + text + "\"") != std::string::npos);
  }
}

TEST_CASE("a quirk is written as it is read") {
  for (const char* text : {"44:2:ff00", "ffc:4:ffffffff", "fff:1:ff", "0:1:0"}) {
    CHECK(pci::to_string(pci::parse_quirk(text).value()) == text);
  }
}

TEST_CASE("a quirk with its function is read as pciback reads it") {
  const auto function = pci::make_sbdf(0, 3, 0, 1);
  CHECK(pci::parse_addressed_quirk("0000:03:00.1-44:2:ff00\n").value() ==
        pci::addressed_quirk{function, {0x44, 2, 0xff00}});
  CHECK(pci::parse_addressed_quirk(" 03:00.1-44:2:ff00").value() == pci::addressed_quirk{function, {0x44, 2, 0xff00}});
  CHECK(pci::parse_addressed_quirk("1:03:00.1-44:2:ff00").value().address == pci::make_sbdf(1, 3, 0, 1));
  for (const char* text : {"", "-", "03:00.1", "03:00.1-", "-44:2:ff", "03:00.*-44:2:ff", "03:00.1-44:2",
                           "03:00.1-44:2:ff 1", "03:00.1--44:2:ff", "03:00.8-44:2:ff", "03:00.1-1000:1:ff"}) {
    CAPTURE(text);
    const auto got = pci::parse_addressed_quirk(text);
    REQUIRE(!got);
    CHECK(got.error().error == EINVAL);
  }
}

TEST_CASE("the mode of a policy") {
  CHECK(pci::mode_of({}) == pci::write_mode::strict);
  CHECK(pci::mode_of({.allow_interrupt_control = true}) == pci::write_mode::strict);
  CHECK(pci::mode_of({.quirks = {{0x44, 2, 0xff}}}) == pci::write_mode::listed);
  CHECK(pci::mode_of({.permissive = true, .quirks = {{0x44, 2, 0xff}}}) == pci::write_mode::all);
  CHECK(pci::to_string(pci::write_mode::strict) == "strict");
  CHECK(pci::to_string(pci::write_mode::listed) == "listed");
  CHECK(pci::to_string(pci::write_mode::all) == "all");
}

TEST_CASE("a policy is changed in one thing at a time") {
  const pci::policy before{.permissive = true, .msi = false, .quirks = {{0x44, 2, 0xff}}};
  CHECK(pci::apply(before, {}).value() == before);
  CHECK_FALSE(pci::apply(before, {.permissive = false}).value().permissive);
  CHECK_FALSE(pci::apply(before, {.permissive = false}).value().msi);
  CHECK(pci::apply(before, {.interrupt_control = true}).value().allow_interrupt_control);
  using quirks = std::vector<pci::quirk>;
  CHECK(pci::apply(before, {.open = pci::quirk{0x48, 4, 1}}).value().quirks == quirks{{0x44, 2, 0xff}, {0x48, 4, 1}});
  CHECK(pci::apply(before, {.open = pci::quirk{0x44, 2, 1}}).value().quirks == quirks{{0x44, 2, 1}});
  CHECK(pci::apply(before, {.close = 0x44}).value().quirks.empty());
  CHECK(pci::apply(before, {.close = 0x45}).error().error == ENOENT);
}
