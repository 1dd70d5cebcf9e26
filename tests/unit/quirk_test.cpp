#include <cerrno>
#include <string>

#include <doctest/doctest.h>

#include "pci/policy.hpp"

TEST_CASE("a quirk is read") {
  CHECK(pci::parse_quirk("44:2:ff00").value() == pci::quirk{0x44, 2, 0xff00});
  CHECK(pci::parse_quirk("ffc:4:ffffffff").value() == pci::quirk{0xffc, 4, 0xffffffff});
  CHECK(pci::parse_quirk("FFF:1:Ff").value() == pci::quirk{0xfff, 1, 0xff});
  CHECK(pci::parse_quirk(" \t0:1:0\r\n").value() == pci::quirk{0, 1, 0});
  CHECK(pci::parse_quirk("0x44:0X2:0xff").value() == pci::quirk{0x44, 2, 0xff});
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
                           "45:2:ff",
                           "46:4:ff",
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
