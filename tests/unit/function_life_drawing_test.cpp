// SPDX-License-Identifier: GPL-2.0-or-later
// The table of a function's life as docs/architecture.md has it: no line of it changes unseen.
#include "pci/protocol/function_life.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "function_life_values.hpp"

using namespace pci;
using test::all_of;
using test::events;
using test::phases;

namespace {

using life = function_life;
using phase = life::phase;
using event = life::event;
using effect = life::effect;
using presence = life::presence;

const auto effects = all_of<effect>(life::effects_there_are);
const auto presences = all_of<presence>(life::presences);

const set_of<phase> away{phase::gone,          phase::gone_busy, phase::stranded,
                         phase::stranded_busy, phase::stopped,   phase::ended};

template <class E>
std::string list(set_of<E> all, const std::vector<E>& values) {
  const auto count = std::ranges::count_if(values, [&](E each) { return all.contains(each); });
  const bool most = count > 25; // of phases
  std::string text = most ? "any" : "";
  for (const auto each : values) {
    if (all.contains(each) == most)
      continue;
    text += text.empty() ? "" : text == "any" ? " but " : ", ";
    text += to_string(each);
  }
  return text;
}

std::string name_of(set_of<presence> hardware) {
  static const std::vector<std::pair<set_of<presence>, std::string>> names{
      {{presence::there, presence::going, presence::went, presence::lost}, ""},
      {{presence::there, presence::going}, "not removed"},
      {{presence::went, presence::lost}, "removed"},
      {{presence::going, presence::went}, "going or went"},
      {{presence::going, presence::went, presence::lost}, "not there"}};
  const auto found = std::ranges::find(names, hardware, [](const auto& each) { return each.first; });
  return found == names.end() ? list(hardware, presences) : found->second;
}

std::string draw() {
  std::ostringstream out;
  out << "```mermaid\nstateDiagram-v2\n    [*] --> fresh\n";
  std::map<std::pair<phase, phase>, std::string> arrows;
  for (const auto from : phases)
    for (const auto& each : life::table()) {
      if (!each.from.contains(from) || !each.hardware.contains(presence::there) || !each.to || away.contains(*each.to))
        continue;
      auto& on = arrows[{from, *each.to}];
      on += (on.empty() ? "" : ", ") + list(each.on, events);
    }
  for (const auto& [way, on] : arrows)
    out << "    " << to_string(way.first) << " --> " << to_string(way.second) << ": " << on << "\n";
  out << "```\n\n| in | on | hardware | becomes | effects |\n|---|---|---|---|---|\n";
  for (const auto& each : life::table()) {
    std::string due;
    for (const auto one : each.due)
      due += (due.empty() ? "" : ", ") + std::string(to_string(one));
    out << "| " << list(each.from, phases) << " | " << list(each.on, events) << " | " << name_of(each.hardware) << " | "
        << (each.to ? to_string(*each.to) : "") << " | " << due << " |\n";
  }
  return out.str();
}

} // namespace

TEST_CASE("function life: the hardware comes and goes beside it") {
  for (const auto word : {event::removed, event::removed_in_use}) {
    life function;
    CHECK(function.hardware() == presence::there);
    CHECK_FALSE(function.removing());
    function.on(event::leave); // of what is there
    CHECK_FALSE(function.left());
    function.on(event::removal_waits);
    CHECK(function.hardware() == presence::going);
    CHECK(function.removing());
    CHECK_FALSE(function.removed());
    function.on(event::leave);
    CHECK_FALSE(function.left());
    function.on(word);
    CHECK(function.hardware() == presence::went);
    CHECK(function.removing());
    CHECK(function.removed());
    function.on(event::leave);
    CHECK(function.left());
    for (const auto again : {event::removal_waits, event::removed, event::removed_in_use}) {
      function.on(again);
      CHECK(function.hardware() == presence::went);
    }
    function = {};
    function.on(word);
    CHECK(function.hardware() == presence::lost);
    for (const auto again : {event::removal_waits, event::removed, event::removed_in_use}) {
      function.on(again);
      CHECK(function.hardware() == presence::lost);
    }
    CHECK_FALSE(function.removing());
    CHECK(function.removed());
  }
}

TEST_CASE("function life: its drawing in docs/architecture.md is that of the table") {
  std::ifstream file(ARCHITECTURE);
  REQUIRE(file);
  std::stringstream text;
  text << file.rdbuf();
  const auto wanted = draw();
  if (std::getenv("PCIBACKD_DRAW") != nullptr)
    std::cout << wanted;
  CHECK_MESSAGE(text.str().find(wanted) != std::string::npos,
                "PCIBACKD_DRAW=1 prints what belongs under \"The life of a function\"");
}

TEST_CASE("function life: names") {
  std::set<std::string_view> names;
  for (const auto each : phases)
    names.insert(to_string(each));
  CHECK(names.size() == life::phases);
  names.clear();
  for (const auto each : events)
    names.insert(to_string(each));
  CHECK(names.size() == life::events);
  names.clear();
  for (const auto each : effects)
    names.insert(to_string(each));
  CHECK(names.size() == life::effects_there_are);
  CHECK(to_string(phase::fresh) == "fresh");
  CHECK(to_string(phase::ended) == "ended");
  CHECK(to_string(presence::there) == "there");
  CHECK(to_string(presence::lost) == "lost");
  CHECK(to_string(event::hold) == "hold");
  CHECK(to_string(event::removed_in_use) == "removed_in_use");
  CHECK(to_string(effect::refuse) == "refuse");
  CHECK(to_string(effect::pause_guest) == "pause_guest");
  CHECK(to_string(static_cast<phase>(life::phases)) == "unknown");
  CHECK(to_string(static_cast<presence>(life::presences)) == "unknown");
  CHECK(to_string(static_cast<event>(life::events)) == "unknown");
  CHECK(to_string(static_cast<effect>(life::effects_there_are)) == "unknown");
}
