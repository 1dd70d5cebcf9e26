// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/sleep_watch.hpp"

#include <doctest/doctest.h>
#include <poll.h>

using namespace std::chrono_literals;
using platform::linux_host::sleep_watch;

TEST_CASE("sleep watch: tells nothing while nothing happens, however often it is asked") {
  const auto watch = sleep_watch::open();
  REQUIRE(watch);
  pollfd waits{.fd = (*watch)->descriptor(), .events = POLLIN, .revents = 0};
  for (int i = 0; i < 3; ++i) {
    CHECK(::poll(&waits, 1, 0) == 0);
    CHECK_FALSE((*watch)->slept());
  }
}

TEST_CASE("sleep watch: what two clocks differ by") {
  CHECK_FALSE(sleep_watch::has_slept(0ns, 0ns));
  CHECK_FALSE(sleep_watch::has_slept(5h, 5h + 1ms));
  CHECK_FALSE(sleep_watch::has_slept(5h, 5h - 1ms)); // between the two clocks somebody else may run
  CHECK(sleep_watch::has_slept(5h, 5h + 1s));
}
