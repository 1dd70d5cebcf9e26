// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include "config/settings.hpp"
#include "config/simulation.hpp"
#include "pci/nearest.hpp"

namespace {

std::vector<std::string> warnings_of(std::string_view text) {
  const auto got = config::examine(text, "f.toml");
  CHECK(got.mistakes == std::vector<std::string>{});
  REQUIRE(got.good);
  return got.warnings;
}

const std::vector<std::string_view> words{"socket", "log_level", "msi", "msix"};

} // namespace

TEST_CASE("the distance of two words counts letters put in, left out, changed and swapped") {
  CHECK(pci::distance("", "") == 0);
  CHECK(pci::distance("", "abc") == 3);
  CHECK(pci::distance("abc", "") == 3);
  CHECK(pci::distance("socket", "socket") == 0);
  CHECK(pci::distance("sokket", "socket") == 1);
  CHECK(pci::distance("soket", "socket") == 1);
  CHECK(pci::distance("soccket", "socket") == 1);
  CHECK(pci::distance("scoket", "socket") == 1);
  CHECK(pci::distance("tekcos", "socket") == pci::distance("socket", "tekcos"));
  CHECK(pci::distance("kitten", "sitting") == 3);
}

TEST_CASE("the nearest word is suggested, and none that is far away") {
  CHECK(pci::nearest("sokket", words) == "socket");
  CHECK(pci::nearest("loglevel", words) == "log_level");
  CHECK(pci::nearest("misx", words) == "msix");
  CHECK(pci::nearest("ms", words) == "msi");
  CHECK(pci::nearest("permissive", words).empty());
  CHECK(pci::nearest("", words).empty());
  CHECK(pci::nearest(std::string(1000, 's'), words).empty());
  CHECK(pci::nearest("socket", std::vector<std::string_view>{}).empty());
}

TEST_CASE("all mistakes of a file are told, from its top") {
  const auto got = config::examine("[daemon]\ntopology = 1\nsokket = \"/a\"\nline_rate = 5\n"
                                   "[[device]]\nhold = true\n"
                                   "[[device]]\nmatch = \"00:04.0\"\nquirks = [\"x\", 4]\n"
                                   "[[assign]]\ndomain = \"\"\n",
                                   "f.toml");
  CHECK_FALSE(got.good);
  const std::vector<std::string> expected{
      "f.toml:2:12: topology: must be one of \"vpci\", \"passthrough\", not an integer",
      "f.toml:3:1: unknown key \"sokket\"; did you mean \"socket\"?",
      "f.toml:4:13: line_rate: must be an integer from 100 to 1000000, not 5",
      "f.toml:5:1: this [[device]] matches nothing; add address, ids or class",
  };
  REQUIRE(got.mistakes.size() == 8);
  CHECK(std::vector(got.mistakes.begin(), got.mistakes.begin() + 4) == expected);
  CHECK(got.mistakes[4].rfind("f.toml:9:11: quirks: ", 0) == 0);
  CHECK(got.mistakes[5].rfind("f.toml:9:16: quirks: ", 0) == 0);
  CHECK(got.mistakes[6] == "f.toml:10:1: \"devices\" is missing; add devices = ...");
  CHECK(got.mistakes[7] == "f.toml:11:10: domain: is empty; it must be the name or the UUID of a guest");
  // The daemon's own failure is one line, and says that there are more.
  const auto failed = config::parse("[daemon]\na = 1\nb = 2\n", "f.toml");
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.error().context.rfind("f.toml:2:1: unknown key \"a\"", 0) == 0);
  CHECK(failed.error().context.find("(1 more mistake: `pcibackd --check-config` lists all)") != std::string::npos);
}

TEST_CASE("a function in two assignments, and one that nothing holds, are doubted") {
  CHECK(
      warnings_of("[[device]]\nmatch = \"03:00.0\"\n[[assign]]\ndomain = \"web\"\ndevices = [\"03:00.0\"]\n").empty());
  CHECK(warnings_of("hide = \"(03:00.*)\"\n[[assign]]\ndomain = \"web\"\ndevices = [\"03:00.0\"]\n").empty());
  // What ids and class a function has, the settings do not say.
  CHECK(
      warnings_of("[[device]]\nids = \"8086:10d3\"\n[[assign]]\ndomain = \"web\"\ndevices = [\"03:00.0\"]\n").empty());
  CHECK(warnings_of("[[assign]]\ndomain = \"web\"\ndevices = [\"03:00.0\"]\n") ==
        std::vector<std::string>{"f.toml:1:1: 0000:03:00.0 is assigned to \"web\", but nothing holds it; add a "
                                 "[[device]] with address = \"0000:03:00.0\""});
  CHECK(warnings_of("hide = \"(03:00.0)\"\n[[device]]\nmatch = \"03:00.0\"\nhold = false\n"
                    "[[assign]]\ndomain = \"web\"\ndevices = [\"03:00.0\"]\n") ==
        std::vector<std::string>{"f.toml:5:1: 0000:03:00.0 is assigned to \"web\", but its [[device]] in line 2 has "
                                 "hold = false; the guest waits until `pcibackctl hold 0000:03:00.0`"});
  CHECK(warnings_of("hide = \"(03:00.0)\"\n[[assign]]\ndomain = \"web\"\ndevices = [\"03:00.0\"]\n"
                    "[[assign]]\ndomain = \"db\"\ndevices = [\"03:00.0\"]\n") ==
        std::vector<std::string>{"f.toml:5:1: 0000:03:00.0 is assigned to \"db\" and, in line 2, to \"web\"; only the "
                                 "guest that starts first gets it"});
}

TEST_CASE("quirks that overlap are doubted, whatever their masks are") {
  const auto with = [](const char* quirks) {
    return warnings_of(std::string{"[[device]]\nmatch = \"03:00.0\"\nquirks = "} + quirks + "\n");
  };
  CHECK(with("[\"4c:4:ff\", \"50:1:1\", \"4b:1:1\"]").empty());
  CHECK(with("[\"4c:4:ff\", \"4e:2:f\"]") ==
        std::vector<std::string>{"f.toml:1:1: 0000:03:00.0: the quirks 4c:4:ff and 4e:2:f overlap; make one of them"});
  CHECK(with("[\"4c:4:ff\", \"4c:4:ff\"]").size() == 1);
  CHECK(with("[\"4c:1:1\", \"4c:2:1\", \"4d:1:1\"]").size() == 2);
}

TEST_CASE("guests that do not run are named, with the one that was probably meant") {
  const auto settings = config::parse("[[guest]]\nmatch = \"wbe\"\n[[assign]]\ndomain = \"database\"\ndevices = []\n"
                                      "[[assign]]\ndomain = \"6B8F1E2C-0000-4000-8000-0123456789AB\"\ndevices = []\n",
                                      "f.toml");
  REQUIRE(settings.has_value());
  const std::vector<std::string> known{"web", "", "6b8f1e2c-0000-4000-8000-0123456789ab"};
  CHECK(config::to_lines(config::unknown_guests(*settings, known), "f.toml") ==
        std::vector<std::string>{
            "f.toml:1:1: no guest \"wbe\" is running; did you mean \"web\"?",
            "f.toml:3:1: no guest \"database\" is running; that is fine if it is to be started later"});
  CHECK(config::unknown_guests({}, known).empty());
}

TEST_CASE("all mistakes of a simulated host are told") {
  const auto got =
      config::read_simulation("[[function]]\naddress = \"00:03.0\"\nmodel = \"nvm\"\n"
                              "[[guest]]\nname = \"a\"\nfunctions = [\"00:04.0\", \"x\"]\nhabbit = \"slow\"\n",
                              "s.toml");
  REQUIRE_FALSE(got.has_value());
  const auto lines = config::to_lines(got.error(), "s.toml");
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].find("did you mean \"nvme\"?") != std::string::npos);
  CHECK(lines[1].rfind("s.toml:6:25: functions: ", 0) == 0);
  CHECK(lines[2] == "s.toml:7:1: unknown key \"habbit\"; did you mean \"habit\"?");
}
