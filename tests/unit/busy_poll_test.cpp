// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/busy_poll.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using pci::busy_poll;

namespace {

constexpr auto at = 1h;

busy_poll after_close(unsigned count, busy_poll::limits limits = {}) {
  busy_poll it{limits};
  for (unsigned i = 0; i < count; ++i) {
    it.woken(busy_poll::near);
  }
  return it;
}

// What a guest gets of a processor that always asks again just before the look ends.
std::chrono::nanoseconds spent_in(std::chrono::nanoseconds length, busy_poll::limits limits, bool found) {
  auto it = after_close(busy_poll::most, limits);
  std::chrono::nanoseconds spent{0};
  for (auto now = std::chrono::nanoseconds(at); now < at + length;) {
    const auto window = it.window(now);
    if (window > 0ns) {
      it.polled(window, found);
      spent += window;
    }
    it.woken(0ns);
    now += std::max<std::chrono::nanoseconds>(window, 1us) + 5us;
  }
  return spent;
}

} // namespace

TEST_CASE("busy poll: only after operations that followed closely") {
  CHECK(after_close(0).window(at) == 0ns);
  CHECK(after_close(busy_poll::fewest - 1).window(at) == 0ns);
  CHECK(after_close(busy_poll::fewest).window(at) == busy_poll::first);
  auto it = after_close(busy_poll::fewest);
  it.woken(busy_poll::near + 1ns);
  CHECK(it.window(at) == 0ns);
}

TEST_CASE("busy poll: a look in vain after which the operation comes closely is followed by one twice as long") {
  auto it = after_close(busy_poll::fewest, {350us, 100});
  for (const auto window : {50us, 100us, 200us, 350us}) {
    CHECK(it.window(at) == window);
    it.polled(window, false);
    CHECK(it.window(at) == 0ns);
    it.woken(busy_poll::near);
  }
  CHECK(it.window(at) == 0ns); // it was as long as it may be

  SUBCASE("and by the first again where the operations do not follow closely") {
    it.woken(busy_poll::near + 1ns);
    for (unsigned i = 0; i < 2 * busy_poll::fewest; ++i) {
      it.woken(0ns);
    }
    CHECK(it.window(at) == busy_poll::first);
  }
  SUBCASE("which a success leaves as it is") {
    it.woken(0ns);
    it.woken(0ns);
    it.woken(0ns);
    CHECK(it.window(at) == 350us);
    it.polled(1us, true);
    CHECK(it.window(at) == 350us);
  }
}

TEST_CASE("busy poll: each longest look in vain asks for twice as many, a success for the fewest again") {
  constexpr busy_poll::limits shortest{50us, 5};
  auto it = after_close(busy_poll::fewest, shortest);
  unsigned wanted = busy_poll::fewest;
  for (unsigned looks = 0; looks < 12; ++looks) {
    it.polled(50us, false);
    wanted = std::min(wanted * 2, busy_poll::most);
    for (unsigned i = 0; i < wanted; ++i) {
      CHECK(it.window(at) == 0ns);
      it.woken(0ns);
    }
    CHECK(it.window(at) == 50us);
  }
  it.polled(1us, true);
  it.polled(50us, false);
  for (unsigned i = 0; i < 2 * busy_poll::fewest; ++i) {
    CHECK(it.window(at) == 0ns);
    it.woken(0ns);
  }
  CHECK(it.window(at) == 50us);
}

TEST_CASE("busy poll: a guest gets its share of a processor and what it has saved, whatever it does") {
  for (const unsigned share : {1U, 5U, 50U}) {
    CAPTURE(share);
    for (const bool found : {false, true}) {
      const auto spent = spent_in(100s, {50us, share}, found);
      CHECK(spent <= 100s * share / 100 + busy_poll::savings + 50us);
    }
    CHECK(spent_in(100s, {50us, share}, true) >= 100s * share / 100);
  }
}

TEST_CASE("busy poll: switched off") {
  CHECK(after_close(busy_poll::most, {0us, 5}).window(at) == 0ns);
  CHECK(after_close(busy_poll::most, {50us, 0}).window(at) == 0ns);
}

TEST_CASE("busy poll: time that jumps earns no more than is saved") {
  auto it = after_close(busy_poll::most, {1h, 100});
  while (it.window(at) < busy_poll::savings) { // until a look may be longer than what is saved
    it.polled(0ns, false);
    it.woken(0ns);
  }
  it.polled(busy_poll::savings, true);
  CHECK(it.window(at) == 0ns);
  CHECK(it.window(std::chrono::hours(1'000'000)) == busy_poll::savings);
}
