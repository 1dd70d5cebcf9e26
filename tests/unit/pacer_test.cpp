// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/pacer.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using pci::pacer;

TEST_CASE("pacer: a burst passes at once, what follows at the rate") {
  pacer pace(20, 10, 500ms);
  auto now = pacer::duration{1h};
  for (int i = 0; i < 10; ++i) {
    CHECK(pace.take(now) == 0ns);
  }
  for (int i = 0; i < 100; ++i) { // each asked for when the one before is done
    const auto wait = pace.take(now);
    CHECK(wait == 50ms);
    now += wait;
  }
  now += 1min; // no more than a burst is saved up
  for (int i = 0; i < 10; ++i) {
    CHECK(pace.take(now) == 0ns);
  }
  CHECK(pace.take(now) == 50ms);
}

TEST_CASE("pacer: nothing waits for longer than the longest, whatever is asked for and however often") {
  pacer pace(1, 1, 300ms);
  const auto now = pacer::duration{5s};
  CHECK(pace.take(now) == 0ns);
  for (int i = 0; i < 1000; ++i) {
    CHECK(pace.take(now, 1000) <= 300ms); // its page is closed and opened again, and it does not wait
  }
  CHECK(pace.take(now + 2s) <= 300ms);
  CHECK(pace.take(now + 10s) == 0ns);
}

TEST_CASE("pacer: one that asks less often than the rate never waits") {
  pacer pace(20, 1, 500ms);
  for (auto now = pacer::duration{0}; now < 10s; now += 50ms) {
    CHECK(pace.take(now) == 0ns);
  }
}

TEST_CASE("pacer: what costs more counts as more") {
  pacer pace(10, 10, 500ms);
  CHECK(pace.take(1s, 10) == 0ns);
  CHECK(pace.take(1s, 3) == 300ms);
}
