// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/real/event_loop.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace platform {
namespace {

void empty(int counter) {
  std::uint64_t count = 0;
  while (::read(counter, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

timespec to_timespec(std::chrono::milliseconds time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  return {.tv_sec = seconds.count(), .tv_nsec = std::chrono::nanoseconds(time - seconds).count()};
}

} // namespace

pci::result<std::unique_ptr<event_loop>> event_loop::open() {
  platform::descriptor epoll{::epoll_create1(EPOLL_CLOEXEC)};
  platform::descriptor stop{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!epoll || !stop)
    return pci::fail(errno, "cannot make an event loop");
  const int stop_number = stop.get();
  std::unique_ptr<event_loop> loop{new event_loop(std::move(epoll), std::move(stop))};
  // The first source ends the loop, see serve().
  if (auto added = loop->add(stop_number, {}); !added)
    return tl::unexpected(std::move(added.error()));
  return loop;
}

pci::result<void> event_loop::add(int descriptor, handler ready) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = sources_.size();
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0)
    return pci::fail(errno, "cannot wait for a descriptor");
  sources_.push_back({descriptor, std::move(ready)});
  return {};
}

pci::result<void> event_loop::every(std::chrono::milliseconds interval, handler due) {
  platform::descriptor timer{::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
  const auto period = to_timespec(interval);
  const itimerspec times{.it_interval = period, .it_value = period};
  if (!timer || ::timerfd_settime(timer.get(), 0, &times, nullptr) != 0)
    return pci::fail(errno, "cannot make a timer");
  const int number = timer.get();
  timers_.push_back(std::move(timer));
  return add(number, [number, due = std::move(due)] {
    empty(number);
    return due();
  });
}

pci::result<void> event_loop::start() try {
  thread_ = std::thread([this] { run(); });
  return {};
} catch (const std::system_error& error) {
  return pci::fail(error.code().value(), "cannot start the event loop's thread");
}

void event_loop::stop() {
  if (!thread_.joinable())
    return;
  ::eventfd_write(stop_.get(), 1);
  thread_.join();
  empty(stop_.get());
}

void event_loop::run() {
  ::pthread_setname_np(::pthread_self(), "pcibackd-events");
  std::array<epoll_event, 16> events;
  for (;;) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i)
      if (!serve(events.at(static_cast<std::size_t>(i)).data.u64))
        return;
  }
}

bool event_loop::serve(std::size_t index) {
  const auto& source = sources_[index];
  if (!source.ready)
    return false;
  if (!source.ready())
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, source.descriptor, nullptr);
  return true;
}

} // namespace platform
