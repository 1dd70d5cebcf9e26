// SPDX-License-Identifier: GPL-2.0-or-later
// A whole life, again and again, in which each time another call to the host fails, or the daemon is killed at it.
#include <cstdlib>
#include <random>

#include "faulty_life.hpp"
#include "logged_text.hpp"

using namespace test;

namespace {

using planned_calls = std::map<std::size_t, faults::fault>;

/// The calls of a life without a fault.
std::vector<std::string> calls_of_a_life() {
  faulty_life life{fault_plan{}};
  life.live();
  return life.calls();
}

std::string describe(const planned_calls& plan, const std::vector<std::string>& calls) {
  std::string text;
  for (const auto& [number, fault] : plan) {
    const std::string what = fault.what == faults::kind::ends             ? "killed before"
                             : fault.what == faults::kind::ends_after     ? "killed after"
                             : fault.what == faults::kind::xenstored_goes ? "xenstored goes"
                                                                          : fmt::format("error {}", fault.error);
    text += fmt::format("{}{} {}: {}", text.empty() ? "" : ", ", number, calls.at(number - 1), what);
  }
  return text;
}

// Returns 1. FAULT_POINT=N in the environment: only those with call N.
std::size_t live_with(const planned_calls& plan, const std::vector<std::string>& calls) {
  const char* only = std::getenv("FAULT_POINT");
  if (only != nullptr && !plan.contains(std::strtoul(only, nullptr, 10))) {
    return 0;
  }
  const auto faults_are = describe(plan, calls);
  CAPTURE(faults_are);
  const logged_text log;
  faulty_life life{{plan}};
  life.live();
  CHECK_FALSE(log.has("bug"));
  const auto killed = [](const auto& each) { return each.second.what != faults::kind::error; };
  CHECK((life.timeouts == 0 || !std::ranges::all_of(plan, killed)));
  return 1;
}

} // namespace

TEST_SUITE_BEGIN("deterministic");

TEST_CASE("each call of a life fails once, and nothing is left behind") {
  const auto calls = calls_of_a_life();
  std::size_t points = 0;
  for (std::size_t number = 1; number <= calls.size(); number += fault_stride) {
    for (const auto error : faults::errors_of(calls[number - 1])) {
      points += live_with({{number, {faults::kind::error, error}}}, calls);
    }
  }
  MESSAGE(points, " points");
}

TEST_CASE("the daemon is killed before and after each call of a life, and its guest notices nothing") {
  const auto calls = calls_of_a_life();
  std::size_t points = 0;
  for (std::size_t number = 1; number <= calls.size(); number += fault_stride) {
    for (const auto what : {faults::kind::ends, faults::kind::ends_after}) {
      points += live_with({{number, {what, 0}}}, calls);
    }
  }
  MESSAGE(points, " points");
}

TEST_CASE("xenstored goes at a call of a life, for three seconds, and the guest notices nothing") {
  faulty_life whole{fault_plan{}};
  const auto first = whole.calls().size() + 1; // a daemon that has not begun ends, and is started again
  whole.live();
  std::size_t points = 0;
  for (auto number = first; number <= whole.calls().size(); number += 5 * fault_stride) {
    points += live_with({{number, {faults::kind::xenstored_goes, 0}}}, whole.calls());
  }
  MESSAGE(points, " points");
}

// What is plugged then must not come to where the guest sees what could not be adopted at once.
TEST_CASE("the daemon is killed while a function is plugged, and the next one's xenstore fails once") {
  faulty_life whole{fault_plan{}};
  whole.live();
  constexpr std::size_t killed_within = 160, failed_within = 150;
  std::size_t points = 0;
  for (std::size_t killed = 0; killed < killed_within; killed += 8 * fault_stride) {
    for (std::size_t failed = 1; failed < failed_within; failed += 6) {
      const auto number = whole.plug_begins + killed;
      points +=
          live_with({{number, {faults::kind::ends, 0}}, {number + failed, {faults::kind::error, EIO}}}, whole.calls());
    }
  }
  MESSAGE(points, " points");
}

// Which two is the same in each run.
TEST_CASE("two calls of a life fail, or the daemon is killed at one of them") {
  const auto calls = calls_of_a_life();
  std::mt19937 random(1);
  std::size_t points = 0;
  for (std::size_t i = 0; i < 1000 / fault_stride; ++i) {
    planned_calls plan;
    while (plan.size() < 2) {
      const auto number = 1 + random() % calls.size();
      const auto& errors = faults::errors_of(calls[number - 1]);
      if (errors.empty() || random() % 4 == 0) {
        plan[number] = {random() % 2 == 0 ? faults::kind::ends : faults::kind::ends_after, 0};
      } else {
        plan[number] = {faults::kind::error, errors[random() % errors.size()]};
      }
    }
    points += live_with(plan, calls);
  }
  MESSAGE(points, " points");
}

TEST_SUITE_END();
