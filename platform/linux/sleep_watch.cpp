// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/sleep_watch.hpp"

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <limits>
#include <utility>

#include <sys/timerfd.h>
#include <unistd.h>

namespace platform::linux_host {
namespace {

std::chrono::nanoseconds time_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

} // namespace

std::chrono::nanoseconds sleep_watch::asleep_in_all() {
  const auto awake = time_of(CLOCK_MONOTONIC); // first: what passes between the two counts as awake
  return time_of(CLOCK_BOOTTIME) - awake;
}

sleep_watch::sleep_watch(platform::descriptor timer) : timer_(std::move(timer)), asleep_(asleep_in_all()) {}

// For a time that does not come: only that the clock is set ends its wait.
pci::result<void> sleep_watch::arm(int timer) {
  itimerspec never{};
  never.it_value.tv_sec = std::numeric_limits<std::int32_t>::max();
  if (::timerfd_settime(timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr) != 0)
    return pci::fail(errno, "cannot wait for the end of a sleep");
  return {};
}

pci::result<std::unique_ptr<sleep_watch>> sleep_watch::open() {
  platform::descriptor timer{::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK)};
  if (!timer)
    return pci::fail(errno, "cannot make a timer");
  return arm(timer.get()).map([&] { return std::unique_ptr<sleep_watch>(new sleep_watch(std::move(timer))); });
}

bool sleep_watch::slept() {
  std::uint64_t count = 0;
  while (::read(timer_.get(), &count, sizeof count) < 0 && errno == EINTR) {
  }
  static_cast<void>(arm(timer_.get())); // the same call succeeded before
  const auto before = std::exchange(asleep_, asleep_in_all());
  return has_slept(before, asleep_);
}

} // namespace platform::linux_host
