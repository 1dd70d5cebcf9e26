// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/interrupts/storm_limiter.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using pci::storm_limiter;

namespace {

constexpr auto none = 0ns;

/// As many as pass at once at `now`, and the pause that comes then.
std::pair<unsigned, storm_limiter::duration> flood(storm_limiter& limiter, storm_limiter::duration now) {
  for (unsigned passed = 0; passed < 100000; ++passed)
    if (const auto pause = limiter.pass(now); pause > none)
      return {passed, pause};
  return {100000, none};
}

} // namespace

TEST_CASE("storm limiter: what stays below the rate always passes") {
  storm_limiter limiter(1000); // ten in each 10 ms
  for (auto now = 5ns; now < 2s; now += 1ms)
    CHECK(limiter.pass(now) == none);
  CHECK(limiter.storms() == 0);
  CHECK_FALSE(limiter.storming(2s));
}

TEST_CASE("storm limiter: a full window is followed by a pause, each next by one twice as long, to a second") {
  storm_limiter limiter(20000);
  auto now = storm_limiter::duration{1h};
  for (const auto expected : {10ms, 20ms, 40ms, 80ms, 160ms, 320ms, 640ms, 1000ms, 1000ms}) {
    CHECK(flood(limiter, now) == std::pair{200U, storm_limiter::duration{expected}});
    CHECK(limiter.storming(now));
    CHECK(limiter.storms() == 1);
    CHECK(limiter.pass(now + expected - 1ns) == 1ns); // nothing passes in it
    CHECK(limiter.left(now + 1ms) == expected - 1ms);
    now += expected + 3ms; // and the timer may be late
  }
}

TEST_CASE("storm limiter: one window that does not fill ends the storm") {
  storm_limiter limiter(20000);
  CHECK(flood(limiter, 1s).second == 10ms);
  CHECK(flood(limiter, 1s + 30ms).second == 20ms);
  CHECK(limiter.pass(1s + 60ms) == none);
  CHECK(limiter.storming(1s + 61ms));
  CHECK_FALSE(limiter.storming(1s + 70ms));
  CHECK(limiter.pass(1s + 70ms) == none);
  CHECK(flood(limiter, 1s + 71ms) == std::pair{199U, storm_limiter::duration{10ms}});
  CHECK(limiter.storms() == 2);
}

TEST_CASE("storm limiter: a line at rest has no storm") {
  storm_limiter limiter(20000);
  CHECK(flood(limiter, 1s).second == 10ms);
  CHECK(flood(limiter, 1s + 10ms).second == 20ms);
  CHECK_FALSE(limiter.storming(5s));
  CHECK(flood(limiter, 5s).second == 10ms);
}

TEST_CASE("storm limiter: the least rate lets one through in a window") {
  storm_limiter limiter(0);
  CHECK(limiter.pass(1s) == none);
  CHECK(limiter.pass(1s) == 10ms);
}

TEST_CASE("storm limiter: over a long storm hardly any pass") {
  storm_limiter limiter(20000);
  unsigned passed = 0;
  auto now = storm_limiter::duration{0};
  while (now < 60s) {
    const auto pause = limiter.pass(now);
    passed += pause == none ? 1 : 0;
    now += pause;
  }
  CHECK(passed < 15000);
  CHECK(passed > 10000);
}
