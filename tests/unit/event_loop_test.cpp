// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include <unistd.h>

#include <doctest/doctest.h>

#include "platform/real/event_loop.hpp"

using namespace std::chrono_literals;
using platform::event_loop;

namespace {

struct pipe_ends {
  std::array<int, 2> ends{};
  pipe_ends() { REQUIRE(::pipe(ends.data()) == 0); }
  ~pipe_ends() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  void put() const { REQUIRE(::write(ends[1], "x", 1) == 1); }
  [[nodiscard]] bool take() const {
    char byte = 0;
    return ::read(ends[0], &byte, 1) == 1;
  }
};

bool soon(const std::function<bool()>& condition) {
  for (int i = 0; i < 400 && !condition(); ++i)
    std::this_thread::sleep_for(5ms);
  return condition();
}

} // namespace

TEST_CASE("a loop calls the handler of the descriptor that is readable") {
  const pipe_ends first, second;
  std::atomic<int> first_calls = 0, second_calls = 0;
  const auto loop = event_loop::open().value();
  REQUIRE(loop->add(first.ends[0], [&] { return first.take() && ++first_calls; }));
  REQUIRE(loop->add(second.ends[0], [&] { return second.take() && ++second_calls; }));
  REQUIRE(loop->start());
  second.put();
  CHECK(soon([&] { return second_calls == 1; }));
  first.put();
  CHECK(soon([&] { return first_calls == 1; }));
  CHECK(second_calls == 1);
}

TEST_CASE("a loop does not wait again for a descriptor whose handler says so") {
  const pipe_ends broken, sound;
  std::atomic<int> broken_calls = 0, sound_calls = 0;
  const auto loop = event_loop::open().value();
  REQUIRE(loop->add(broken.ends[0], [&] { // stays readable
    ++broken_calls;
    return false;
  }));
  REQUIRE(loop->add(sound.ends[0], [&] { return sound.take() && ++sound_calls; }));
  broken.put();
  REQUIRE(loop->start());
  CHECK(soon([&] { return broken_calls == 1; }));
  for (int i = 1; i <= 3; ++i) {
    sound.put();
    CHECK(soon([&] { return sound_calls == i; }));
  }
  CHECK(broken_calls == 1);
}

TEST_CASE("a loop calls periodically, and no more than that") {
  std::atomic<int> calls = 0;
  const auto loop = event_loop::open().value();
  REQUIRE(loop->every(20ms, [&] { return ++calls != 0; }));
  REQUIRE(loop->start());
  CHECK(soon([&] { return calls >= 3; }));
  loop->stop();
  const int at_stop = calls;
  std::this_thread::sleep_for(50ms);
  CHECK(calls == at_stop);
}

TEST_CASE("an interval is one call, not a busy loop") {
  constexpr auto interval = 20ms;
  std::atomic<int> calls = 0;
  const auto loop = event_loop::open().value();
  REQUIRE(loop->every(interval, [&] { return ++calls != 0; }));
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(loop->start());
  std::this_thread::sleep_for(5 * interval);
  loop->stop();
  const auto intervals = (std::chrono::steady_clock::now() - begin) / interval;
  CHECK(calls <= intervals + 1);
}

TEST_CASE("after stop no handler is called, and the loop can start again") {
  const pipe_ends pipe;
  std::atomic<int> calls = 0;
  const auto loop = event_loop::open().value();
  REQUIRE(loop->add(pipe.ends[0], [&] { return pipe.take() && ++calls; }));
  REQUIRE(loop->start());
  loop->stop();
  loop->stop();
  pipe.put();
  std::this_thread::sleep_for(30ms);
  CHECK(calls == 0);
  REQUIRE(loop->start());
  CHECK(soon([&] { return calls == 1; }));
}

TEST_CASE("a descriptor that is not open is refused") {
  const auto loop = event_loop::open().value();
  CHECK(loop->add(-1, [] { return true; }).error().error == EBADF);
}
