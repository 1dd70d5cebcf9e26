// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/rate_limit.hpp"

#include <deque>
#include <random>
#include <vector>

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using pci::rate_limit;

TEST_CASE("rate limit: a burst, then one each refill, with the count of what was suppressed") {
  rate_limit limit{3, 10s};
  const auto start = 1000s;
  for (int i = 0; i < 3; ++i)
    CHECK(limit.allow(start) == 0U);
  for (int i = 0; i < 4; ++i)
    CHECK(!limit.allow(start + 9999ms));
  CHECK(limit.suppressed() == 4);
  CHECK(limit.allow(start + 10s) == 4U);
  CHECK(limit.suppressed() == 0);
  CHECK(!limit.allow(start + 19999ms));
  CHECK(limit.allow(start + 25s) == 1U);
  CHECK(limit.allow(start + 30s) == 0U); // the refill of 20 s was taken at 25 s; that of 30 s is due all the same
}

TEST_CASE("rate limit: a quiet time fills the bucket and no more") {
  rate_limit limit{3, 10s};
  for (int i = 0; i < 5; ++i)
    static_cast<void>(limit.allow(0s));
  CHECK(limit.allow(24h * 365 * 200) == 2U);
  CHECK(limit.allow(24h * 365 * 200) == 0U);
  CHECK(limit.allow(24h * 365 * 200) == 0U);
  CHECK(!limit.allow(24h * 365 * 200));
}

TEST_CASE("rate limit: a clock that goes back lets nothing more through") {
  rate_limit limit{1, 10s};
  CHECK(limit.allow(100s) == 0U);
  CHECK(!limit.allow(0s));
  CHECK(!limit.allow(109s));
  CHECK(limit.allow(110s) == 2U);
}

TEST_CASE("rate limit: no capacity lets nothing through") {
  rate_limit limit{0, 10s};
  CHECK(!limit.allow(0s));
  CHECK(!limit.allow(1000s));
  CHECK(limit.suppressed() == 2);
}

TEST_CASE("rate limit: by default at most 10 in any minute, and nothing goes uncounted") {
  std::mt19937 random{7};
  for (int round = 0; round < 50; ++round) {
    rate_limit limit;
    std::deque<std::chrono::nanoseconds> passed;
    std::chrono::nanoseconds now{0};
    std::uint64_t counted = 0;
    constexpr int tries = 3000;
    for (int i = 0; i < tries; ++i) {
      // Floods and pauses: half of the tries follow at once, some after up to 40 s.
      const auto pause = static_cast<int>(random() % 40);
      now += random() % 2 == 0 ? 1ms : random() % 50 == 0 ? 1000ms * pause : 25ms * pause;
      const auto allowed = limit.allow(now);
      if (!allowed)
        continue;
      counted += *allowed + 1;
      passed.push_back(now);
      while (passed.front() <= now - 60s)
        passed.pop_front();
      CHECK(passed.size() <= 10);
    }
    CHECK(counted + limit.suppressed() == tries);
  }
}

TEST_CASE("rate limit: by default what goes on passes less and less often, to once a minute, and after a quiet time as "
          "before") {
  rate_limit limit;
  std::vector<std::chrono::seconds> passed;
  for (auto now = 0s; now < 10min; now += 1s)
    if (limit.allow(now))
      passed.push_back(now);
  CHECK(passed == std::vector<std::chrono::seconds>{0s, 1s, 2s, 3s, 4s, 12s, 36s, 84s, 144s, 204s, 264s, 324s, 384s,
                                                    444s, 504s, 564s});
  const auto later = 15min; // five tokens have come since, the last of them at a minute's pace
  for (int i = 0; i < 5; ++i)
    CHECK(limit.allow(later));
  CHECK(!limit.allow(later + 11s));
  CHECK(limit.allow(later + 12s));
}

TEST_CASE("rate limit: one that is given its refill keeps to it") {
  rate_limit limit{1, 10s};
  int passed = 0;
  for (auto now = 0s; now < 1000s; now += 1s)
    passed += limit.allow(now) ? 1 : 0;
  CHECK(passed == 100);
}
