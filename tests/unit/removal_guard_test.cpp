// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <functional>
#include <set>
#include <tuple>

#include <doctest/doctest.h>

#include "pci/protocol/removal_guard.hpp"

using namespace std::chrono_literals;
using pci::removal_guard;
using effect = removal_guard::effect;
using kind = pci::guard_news::kind;
using phase = removal_guard::phase;
using outcome = removal_guard::outcome;

namespace {

outcome tells(kind what, int error = 0) { return {effect::none, what, error}; }

removal_guard armed() {
  removal_guard guard;
  REQUIRE(guard.arm() == outcome{effect::read, std::nullopt, 0});
  REQUIRE(guard.entered() == tells(kind::armed));
  return guard;
}

removal_guard holding(std::chrono::milliseconds since = 0ms) {
  auto guard = armed();
  REQUIRE(guard.look({true, false, since, 0ms}) == tells(kind::waits));
  return guard;
}

/// A guard and the read beside it, as the kernel has it.
struct world {
  removal_guard guard;
  bool reading = false, inside = false, filled = false;
  bool suspended = false;
  bool gone = false; ///< the function's file
  void apply(const outcome& what) {
    if (what.what == effect::read) {
      CHECK_FALSE(reading); // one at a time
      reading = true;
      inside = filled = false;
    }
    if (what.what == effect::fill) {
      CHECK(inside); // a page that is filled before is emptied again in vain
      filled = true;
    }
  }
};

using move = std::pair<const char*, std::function<void(world&)>>;

const std::vector<move>& moves() {
  static const std::vector<move> all{
      {"arm", [](world& w) { w.apply(w.guard.arm()); }},
      {"release", [](world& w) { w.apply(w.guard.release()); }},
      {"the read waits",
       [](world& w) {
         if (w.reading && !w.inside) {
           w.inside = true;
           w.apply(w.guard.entered());
         }
       }},
      {"the read ends",
       [](world& w) {
         if (w.reading && (w.filled || !w.inside)) {
           w.reading = w.inside = w.filled = false;
           w.apply(w.guard.ended(w.gone ? ENOENT : 0));
         }
       }},
      {"the function goes",
       [](world& w) {
         w.gone = true;
         w.apply(w.guard.look({true, false, 0ms, 0ms}));
       }},
      {"it spins",
       [](world& w) {
         w.apply(w.guard.look({w.gone, true, 1s, 0ms}));
       }},
      {"nobody came",
       [](world& w) {
         w.apply(w.guard.look({w.gone, false, 10min, 10min}));
       }},
      {"suspend",
       [](world& w) {
         w.suspended = true;
         w.apply(w.guard.suspend());
       }},
      {"resume",
       [](world& w) {
         w.suspended = false;
         w.apply(w.guard.resume());
       }},
  };
  return all;
}

void check(const world& w) {
  // What waits is what is said to wait, and nothing that has been let go of waits for good.
  CHECK((w.guard.now() != phase::open) == w.reading);
  if (w.guard.now() == phase::inside) {
    CHECK(w.inside);
    CHECK_FALSE(w.filled);
    CHECK(w.guard.account().has_value());
    CHECK((!w.suspended || w.guard.waits()));
  }
  if (w.guard.now() == phase::leaving) {
    CHECK(w.filled);
  }
}

} // namespace

TEST_CASE("a guard is armed when its read is known to wait, and not earlier") {
  removal_guard guard;
  CHECK_FALSE(guard.account());
  CHECK(guard.arm() == outcome{effect::read, std::nullopt, 0});
  CHECK(guard.account() == kind::failed);
  CHECK(guard.entered() == tells(kind::armed));
  CHECK(guard.account() == kind::armed);
  CHECK(guard.arm() == tells(kind::armed));
  CHECK(guard.release() == outcome{effect::fill, std::nullopt, 0});
  CHECK(guard.ended(0) == tells(kind::released));
  CHECK_FALSE(guard.account());
  CHECK(guard.release() == tells(kind::released));
}

TEST_CASE("a read that fails guards nothing, and says why") {
  removal_guard guard;
  static_cast<void>(guard.arm());
  CHECK(guard.ended(ENOENT) == tells(kind::failed, ENOENT));
  CHECK_FALSE(guard.account());
}

TEST_CASE("a removal waits for as long as somebody watches") {
  auto guard = holding(1000ms);
  CHECK(guard.account() == kind::waits);
  CHECK(guard.look({true, false, 1h, 0ms}) == outcome{});
  CHECK(guard.look({true, true, 1h, 0ms}) == outcome{}); // spinning costs less than the host
  CHECK(guard.release() == outcome{effect::fill, std::nullopt, 0});
  CHECK(guard.ended(EIO) == tells(kind::released));
}

TEST_CASE("a removal that nobody watches is let go before the kernel calls it hung") {
  auto guard = holding(1000ms);
  CHECK(removal_guard::default_limit < 120s);
  CHECK(guard.look({true, false, 100'999ms, 99s}) == outcome{});
  CHECK(guard.look({true, false, 101'000ms, 9s}) == outcome{}); // the daemon went just now, and may come back
  CHECK(guard.look({true, false, 101'000ms, 99s}) == outcome{effect::fill, kind::let_go, 0});
  CHECK(guard.ended(EIO) == outcome{});
  CHECK(guard.account() == kind::let_go); // for the next daemon
  static_cast<void>(guard.release());
  CHECK_FALSE(guard.account());
}

TEST_CASE("a read that spins is begun anew") {
  auto guard = armed();
  CHECK(guard.look({false, true, 0ms, 0ms}) == outcome{effect::fill, std::nullopt, 0});
  CHECK(guard.ended(0) == outcome{effect::read, std::nullopt, 0});
  CHECK(guard.entered() == tells(kind::armed));
}

TEST_CASE("no read waits while dom0 sleeps, but one that holds a removal up") {
  auto guard = armed();
  CHECK(guard.suspend() == outcome{effect::fill, std::nullopt, 0});
  CHECK_FALSE(guard.settled());
  CHECK(guard.ended(0) == tells(kind::failed, EAGAIN));
  CHECK(guard.settled());
  CHECK(guard.arm() == tells(kind::failed, EAGAIN));
  CHECK(guard.resume() == outcome{effect::read, std::nullopt, 0});
  CHECK(guard.entered() == tells(kind::armed));
  auto waiting = holding();
  CHECK(waiting.suspend() == outcome{});
  CHECK(waiting.settled());
}

TEST_CASE("released and armed again while the read still ends") {
  auto guard = armed();
  static_cast<void>(guard.release());
  CHECK(guard.arm() == tells(kind::released)); // who waits for that is answered
  CHECK(guard.ended(0) == outcome{effect::read, std::nullopt, 0});
  CHECK(guard.entered() == tells(kind::armed));
}

TEST_CASE("in every order of events a guard's read is where the guard says it is") {
  std::function<void(const world&, int)> explore = [&](const world& from, int depth) {
    check(from);
    for (const auto& [name, step] : moves()) {
      if (depth == 0) {
        return;
      }
      auto next = from;
      step(next);
      explore(next, depth - 1);
    }
  };
  explore({}, 5);
}
