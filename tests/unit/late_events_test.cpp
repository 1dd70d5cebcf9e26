// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/late_events.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using pci::late_events;

namespace {

late_events after_close(unsigned count, unsigned growth = late_events::steep_growth, bool any = true) {
  late_events it{any, growth};
  for (unsigned i = 0; i < count; ++i) {
    it.followed(late_events::near);
  }
  return it;
}

} // namespace

TEST_CASE("late events: an event may wait only after operations that followed closely") {
  CHECK_FALSE(after_close(0).may_wait());
  CHECK_FALSE(after_close(late_events::fewest - 1).may_wait());
  CHECK(after_close(late_events::fewest).may_wait());
  auto it = after_close(late_events::most);
  it.followed(late_events::near + 1ns);
  CHECK_FALSE(it.may_wait());
  it.followed(0ns);
  CHECK_FALSE(it.may_wait());
  it.followed(0ns);
  CHECK(it.may_wait());
}

TEST_CASE("late events: switched off") {
  CHECK_FALSE(after_close(late_events::most, late_events::steep_growth, false).may_wait());
}

TEST_CASE("late events: a guest that needs its events waits for one less often each time") {
  unsigned growth = 0;
  SUBCASE("gently") { growth = late_events::gentle_growth; }
  SUBCASE("steeply") { growth = late_events::steep_growth; }
  auto it = after_close(late_events::fewest, growth);
  unsigned at_once = late_events::fewest;
  for (unsigned tries = 0; tries < 12; ++tries) {
    CAPTURE(tries);
    REQUIRE(it.may_wait());
    it.went_on(false);
    for (unsigned i = 0; i < at_once; ++i) {
      CHECK_FALSE(it.may_wait());
    }
    at_once = std::min(at_once * growth, late_events::most);
  }
  REQUIRE(it.may_wait());
  it.went_on(true); // and from now on it does not
  CHECK(it.may_wait());
  it.went_on(false);
  for (unsigned i = 0; i < late_events::fewest; ++i) {
    CHECK_FALSE(it.may_wait());
  }
  CHECK(it.may_wait());
}

TEST_CASE("late events: of a scan of a bus a guest that needs its events waits for few") {
  auto it = after_close(late_events::fewest);
  unsigned waited = 0;
  for (unsigned i = 0; i < 1000; ++i) {
    if (it.may_wait()) {
      ++waited;
      it.went_on(false);
    }
    it.followed(0ns);
  }
  CHECK(waited <= 4);
}
