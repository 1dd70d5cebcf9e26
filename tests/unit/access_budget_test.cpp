// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/access_budget.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using pci::access_budget;

namespace {

constexpr unsigned rate = 1000;
constexpr int at_once = 5 * rate;

/// Asks as fast as it is answered; how many accesses that are in the time, and the longest rest.
struct flood {
  int accesses = 0;
  access_budget::duration longest{0};
  flood(access_budget& budget, access_budget::duration& now, access_budget::duration time,
        access_budget::duration each) {
    for (const auto end = now + time; now < end; ++accesses) {
      const auto rest = budget.take(now);
      longest = std::max(longest, rest);
      now += rest + each;
    }
  }
};

} // namespace

TEST_CASE("access budget: much at once, then rests that double, to the longest") {
  access_budget budget(rate);
  const auto begin = access_budget::duration{1h};
  auto now = begin;
  for (int i = 0; i < at_once; ++i) {
    REQUIRE(budget.take(now) == 0ns);
  }
  for (const auto rest : {1ms, 2ms, 4ms, 8ms, 16ms, 32ms, 64ms, 64ms, 64ms}) {
    REQUIRE(budget.take(now) == rest);
    now += rest;
    for (int earned = 1; earned < rest / 1ms; ++earned) { // what it rested it may do at once
      REQUIRE(budget.take(now) == 0ns);
    }
  }
}

TEST_CASE("access budget: who never stops gets the rate, neither more nor less, and no answer waits for long") {
  for (const unsigned each_second : {100U, 1000U, 20000U, 1000000U}) {
    access_budget budget(each_second);
    auto now = access_budget::duration{0};
    const auto per_access = 500ns; // twice as fast as the highest rate
    (void)flood(budget, now, 20s, per_access);
    const flood later(budget, now, 20s, per_access);
    CHECK(later.accesses >= 20 * 0.98 * each_second);
    CHECK(later.accesses <= 20 * 1.02 * each_second);
    CHECK(later.longest == access_budget::longest);
  }
}

TEST_CASE("access budget: who asks less often than the rate never rests") {
  access_budget budget(rate);
  for (auto now = access_budget::duration{0}; now < 60s; now += 1ms) {
    REQUIRE(budget.take(now) == 0ns);
  }
}

TEST_CASE("access budget: when half of what may be done at once is saved again, the rests begin anew") {
  access_budget budget(rate);
  auto now = access_budget::duration{0};
  (void)flood(budget, now, 20s, 1us);
  SUBCASE("not earlier") {
    now += 2s;
    int i = 0;
    while (budget.take(now) == 0ns) {
      ++i;
    }
    CHECK(i >= 1900);
    CHECK(i <= 2100);
    CHECK(budget.take(now + 65ms + 64ms) == 0ns);
    access_budget fresh = budget;
    while (fresh.take(now + 200ms) == 0ns) {
    }
    CHECK(fresh.take(now + 200ms) == access_budget::longest);
  }
  SUBCASE("then") {
    now += 3s;
    int i = 0;
    auto rest = access_budget::duration{0};
    while ((rest = budget.take(now)) == 0ns) {
      ++i;
    }
    CHECK(i >= 2900);
    CHECK(i <= 3100);
    CHECK(rest == access_budget::shortest);
  }
}

TEST_CASE("access budget: one that does not wait for its answers, and a time that jumps, gain nothing") {
  access_budget budget(rate);
  auto now = access_budget::duration{0};
  for (int i = 0; i < 100000; ++i) { // its page is closed and opened again
    REQUIRE(budget.take(now) <= access_budget::longest);
  }
  now += 24h; // no more than the savings
  for (int i = 0; i < at_once; ++i) {
    REQUIRE(budget.take(now) == 0ns);
  }
  CHECK(budget.take(now) == access_budget::shortest);
}

TEST_CASE("access budget: a rate out of range is the nearest") {
  access_budget none(0);
  access_budget least(access_budget::least_rate);
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(none.take(0ns) == least.take(0ns));
  }
}
