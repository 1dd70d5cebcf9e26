// SPDX-License-Identifier: GPL-2.0-or-later
// One operation and one scan.
#include <array>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "bench/measurements.hpp"
#include "bench/process.hpp"
#include "bench/statistics.hpp"
#include "bench/world.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;

constexpr std::uint8_t present = 0;
constexpr std::uint8_t absent = 31 << 3;
constexpr unsigned blocks = 50;
constexpr unsigned latency_block = 500; // 25 000 of each

/// A thread that answers a raised flag, woken and waking by the same means as the simulated guests: what a hand-off
/// there and back costs at least on this machine.
class echo {
public:
  void round_trip() {
    raised_ = true;
    there_.ring();
    (void)back_.wait_until([&] { return !raised_; }, 10s);
  }

private:
  void serve(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      (void)there_.wait_until([&] { return raised_ || stop.stop_requested(); }, 10s);
      if (raised_.exchange(false)) {
        back_.ring();
      }
    }
  }

  std::atomic<bool> raised_{false};
  platform::sim::doorbell there_, back_;
  std::jthread thread_{[this](const std::stop_token& stop) {
    std::stop_callback wake(stop, [this] { there_.ring(); });
    serve(stop);
  }};
};

void describe(results& into, const std::string& what, samples& times) {
  into.add(what + ", p50", times.median(), "us");
  into.add(what + ", p99", times.percentile(0.99), "us");
  into.add(what + ", p99.9", times.percentile(0.999), "us");
}

void compare(results& into, const std::string& what, samples& times, samples& raw, double limit) {
  describe(into, what, times);
  into.add_limited(what + ", p50 to the hand-off's", times.median() / raw.median(), limit, "times");
  into.add_limited(what + ", p99 to the hand-off's", times.percentile(0.99) / raw.percentile(0.99), 10, "times");
}

void demand_functions(guest& who) {
  if (who.read_ids(present) != 0x10d38086 || who.read_ids(absent) != 0xffffffff) {
    throw std::runtime_error("the guest does not see its function, or sees one too many");
  }
}

// What the daemon does with one processor, or with all, when it looks for the next operation by itself.
results latency(const std::string& where, double limit) {
  const log_counter log;
  world all(1, 1);
  all.start_daemon();
  all.connect();
  auto& who = *all.guests.front();
  demand_functions(who);
  echo hand_off;
  samples raw(blocks * latency_block), found(blocks * latency_block), missed(blocks * latency_block);
  const auto repeat = [](samples& into, auto work) {
    for (unsigned i = 0; i < latency_block; ++i) {
      into.time(work);
    }
  };
  for (unsigned i = 0; i < blocks; ++i) {
    repeat(raw, [&] { hand_off.round_trip(); });
    repeat(found, [&] { (void)who.read_ids(present); });
    repeat(missed, [&] { (void)who.read_ids(absent); });
  }
  results into;
  describe(into, where + "raw hand-off", raw);
  compare(into, where + "read of a function", found, raw, limit);
  compare(into, where + "read of an absent function", missed, raw, limit);
  return into;
}

samples scans() {
  const log_counter log;
  world all(1, 1);
  all.start_daemon();
  all.connect();
  auto& who = *all.guests.front();
  demand_functions(who);
  constexpr unsigned times = 50;
  samples all_of_them(times);
  for (unsigned i = 0; i < times; ++i) {
    all_of_them.time([&] {
      for (unsigned devfn = 0; devfn < 256; ++devfn) {
        (void)who.read_ids(static_cast<std::uint8_t>(devfn));
      }
    });
  }
  return all_of_them;
}

} // namespace

results operation_latency() {
  pin_to(0);
  return latency("", 1.3);
}

results operation_latency_polled() { return latency("polled, ", 0.5); }

results bus_scan() {
  pin_to(0);
  auto all = scans();
  results into;
  into.add_limited("256 functions, median scan", all.median() / 1000, 10, "ms");
  into.add("256 functions, slowest scan", all.percentile(1) / 1000, "ms");
  return into;
}

results bus_scan_polled() {
  auto all = scans();
  results into;
  into.add_limited("polled, 256 functions, median scan", all.median() / 1000, 5, "ms");
  into.add("polled, 256 functions, slowest scan", all.percentile(1) / 1000, "ms");
  return into;
}

} // namespace bench
