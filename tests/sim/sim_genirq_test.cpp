// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/genirq.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using platform::sim::genirq_line;

namespace {

std::chrono::nanoseconds note(genirq_line& line, int count, bool claimed, std::chrono::nanoseconds now = 1h) {
  for (int i = 0; i < count; ++i, now += 1ms)
    line.note(claimed, now);
  return now;
}

} // namespace

TEST_CASE("dom0 gives a line up when 99,901 of 100,000 interrupts went unclaimed, not at 99,900") {
  genirq_line line;
  line.add_handler(false);
  auto now = note(line, 100, true);
  now = note(line, 99900, false, now);
  CHECK_FALSE(line.disabled());
  CHECK(line.counts() == pci::line_counts{});
  now = note(line, 99, true, now);
  now = note(line, 99900, false, now);
  CHECK_FALSE(line.disabled()); // the verdict comes with the hundred thousandth
  note(line, 1, false, now);
  CHECK(line.disabled());
}

TEST_CASE("100 ms without an unclaimed interrupt start the count anew") {
  genirq_line line;
  line.add_handler(false);
  auto now = note(line, 50000, false);
  CHECK(line.counts() == pci::line_counts{50000, 50000});
  note(line, 50000, false, now + 101ms);
  CHECK_FALSE(line.disabled());
}

TEST_CASE("a line whose first handler came under noirqdebug is not watched; later handlers change nothing") {
  genirq_line line;
  line.add_handler(true);
  line.add_handler(false);
  note(line, 200000, false);
  CHECK_FALSE(line.disabled());
  CHECK(line.counts() == pci::line_counts{});

  genirq_line watched;
  watched.add_handler(false);
  watched.add_handler(true);
  note(watched, 100000, false);
  CHECK(watched.disabled());
}

TEST_CASE("another handler gives a line that was given up another chance") {
  genirq_line line;
  line.add_handler(false);
  note(line, 100000, false);
  REQUIRE(line.disabled());
  line.add_handler(false);
  CHECK_FALSE(line.disabled());
  line.remove_handler();
  line.remove_handler();
  CHECK_FALSE(line.bound());
}
