// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>

#include <doctest/doctest.h>

#include "config/simulation.hpp"

using namespace std::chrono_literals;
using config::simulation_action;
using config::simulation_command;

namespace {

std::string first_line(std::string_view text) {
  const auto got = config::parse_scenario(text);
  REQUIRE_FALSE(got.has_value());
  return config::to_lines(got.error(), "s.toml").front();
}

} // namespace

TEST_CASE("a scenario's events are read") {
  const auto got = config::parse_scenario(R"([[event]]
at = 1.5
do = "raise"
function = "00:03.0"
count = 7
vector = 2
[[event]]
at = 0
do = "attach"
guest = "web"
function = "0000:00:04.0"
[[event]]
at = 2
do = "stall"
guest = "web"
seconds = 0.25
[[event]]
at = 3
do = "error"
function = "00:03.0"
severity = "fatal"
[[event]]
at = 4
do = "end"
)");
  REQUIRE(got.has_value());
  REQUIRE(got->size() == 5);
  CHECK(got->at(0).at_time == 1500ms);
  CHECK(got->at(0).what.action == simulation_action::raise);
  CHECK(got->at(0).what.function == pci::make_sbdf(0, 0, 3, 0));
  CHECK(got->at(0).what.count == 7);
  CHECK(got->at(0).what.vector == 2);
  CHECK(config::to_string(got->at(1).what) == "attach web 0000:00:04.0");
  CHECK(got->at(2).what.time == 250ms);
  CHECK(got->at(3).what.severity == pci::error_severity::fatal);
  CHECK(got->at(4).what.action == simulation_action::end);
  CHECK(got->at(4).at.line == 22);
}

TEST_CASE("each mistake in a scenario is named") {
  CHECK(first_line("") == "s.toml:1:1: \"event\" is missing; add a [[event]]");
  CHECK(first_line("[[event]]\ndo = \"end\"\n") == "s.toml:1:1: \"at\" is missing; add at = ...");
  CHECK(first_line("[[event]]\nat = 0\ndo = \"kil\"\nguest = \"a\"\n").find("did you mean \"kill\"?") !=
        std::string::npos);
  CHECK(first_line("[[event]]\nat = -1\ndo = \"end\"\n") ==
        "s.toml:2:6: at: must be a number of seconds from 0 to 86400, not -1");
  CHECK(first_line("[[event]]\nat = nan\ndo = \"end\"\n").find("must be a number of seconds") != std::string::npos);
  CHECK(first_line("[[event]]\nat = \"1\"\ndo = \"end\"\n").find("not a string") != std::string::npos);
  CHECK(first_line("[[event]]\nat = 0\ndo = \"stall\"\nguest=\"a\"\nseconds = 601\n").find("from 0 to 600") !=
        std::string::npos);
  CHECK(first_line("[[event]]\nat = 0\ndo = \"kill\"\n") ==
        "s.toml:1:1: kill needs a guest, and nothing else; name one of the simulation's");
}

TEST_CASE("an action takes what it has a use for, and no more") {
  const auto function = pci::make_sbdf(0, 0, 3, 0);
  for (const auto name : config::action_names()) {
    CAPTURE(name);
    const auto action = *config::parse_action(name);
    CHECK(config::to_string(action) == name);
    const bool guest = config::check({action, "a"}).has_value();
    const bool alone = config::check({action, "", function}).has_value();
    const bool both = config::check({action, "a", function}).has_value();
    const bool none = config::check({action}).has_value();
    const bool either = action == simulation_action::stall || action == simulation_action::drain;
    CHECK(static_cast<int>(guest) + alone + both + none == (either ? 2 : 1));
    CHECK(none == (action == simulation_action::end));
    CHECK(both == (action == simulation_action::attach || action == simulation_action::detach));
  }
  CHECK_FALSE(config::parse_action("explode"));
  CHECK(config::action_names(false).size() == 11);
  CHECK(config::check({simulation_action::kill, "a", {}, 1s}).error() ==
        pci::failure{EINVAL, "kill has no use for \"seconds\"; leave it out"});
  CHECK_FALSE(config::check({simulation_action::storm, "", function, 1s, 3}));
  CHECK_FALSE(config::check({simulation_action::error, "", function, {}, {}, 1}));
  CHECK_FALSE(config::check({simulation_action::raise, "", function, {}, 1, 1, pci::error_severity::fatal}));
  CHECK(config::check({simulation_action::raise, "", function, {}, 1, 1}));
  CHECK(config::check({simulation_action::error, "", function, {}, {}, {}, pci::error_severity::fatal}));
  CHECK(config::check({simulation_action::stall, "", function, 3s}));
}

TEST_CASE("events are of the simulation's guests and functions") {
  const auto host = config::parse_simulation("[[function]]\naddress=\"00:03.0\"\nmodel=\"nvme\"\n[[guest]]\n"
                                             "name=\"a\"\nfunctions=[]\n[[event]]\nat=1\ndo=\"kill\"\nguest=\"a\"\n",
                                             "s.toml");
  REQUIRE(host.has_value());
  CHECK(host->events.size() == 1);
  const auto other = config::parse_scenario("[[event]]\nat=0\ndo=\"kill\"\nguest=\"b\"\n"
                                            "[[event]]\nat=0\ndo=\"unplug\"\nfunction=\"00:04.0\"\n");
  REQUIRE(other.has_value());
  CHECK(config::to_lines(config::check_events(*other, *host), "s.toml") ==
        std::vector<std::string>{"s.toml:1:1: kill: there is no [[guest]] \"b\"",
                                 "s.toml:5:1: unplug: there is no [[function]] 0000:00:04.0"});
  CHECK_FALSE(config::parse_simulation("[[function]]\naddress=\"00:03.0\"\nmodel=\"nvme\"\n[[event]]\nat=1\n"
                                       "do=\"kill\"\nguest=\"b\"\n",
                                       "s.toml"));
}
