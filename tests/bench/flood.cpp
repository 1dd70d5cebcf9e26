// A guest that does its worst.
#include <algorithm>
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

constexpr unsigned rounds = 20;
constexpr unsigned block = 2000;

/// Raises the flag with an operation that is to be carried out, and notifies, without waiting for anything; now and
/// then writes its state.
void flood_once(guest& who, std::uint64_t number) {
  who.front.set_flags(pci::wire::frontend_active);
  who.front.kick();
  if (number % 64 == 0) {
    (void)who.front.write_node("state", "4");
  }
}

/// A neighbour that floods while it is told to, and keeps its processor as busy when not: what is to be seen is what
/// the daemon does with the flood, not that a guest uses the processor that it was given.
class neighbour {
public:
  explicit neighbour(guest& who)
      : thread_([this, &who](const std::stop_token& stop) {
          pin_to(1);
          live(who, stop);
        }) {}
  void flood(bool on) {
    on_ = on;
    std::this_thread::sleep_for(20ms);
  }
  [[nodiscard]] std::uint64_t kicks() const { return kicks_; }

private:
  void live(guest& who, const std::stop_token& stop) {
    who.front.post(who.front.make(pci::op_code::conf_read, {}));
    while (!stop.stop_requested()) {
      if (on_) {
        flood_once(who, ++kicks_);
      }
    }
  }

  std::atomic<bool> on_{false};
  std::atomic<std::uint64_t> kicks_{0};
  std::jthread thread_;
};

} // namespace

results flood() {
  const auto all_processors = processors();
  const log_counter log;
  pin_to(0);
  world all(2, 1);
  all.start_daemon();
  all.connect();
  if (all_processors < 2) {
    throw std::runtime_error("a flood needs a second processor");
  }
  auto& victim = *all.guests.front();
  neighbour other(*all.guests.back());
  samples quiet(rounds * block), loud(rounds * block);
  for (unsigned round = 0; round < rounds; ++round) {
    for (auto* into : {&quiet, &loud}) {
      other.flood(into == &loud);
      for (unsigned i = 0; i < block; ++i) {
        into->time([&] { (void)victim.read_ids(0); });
      }
    }
  }
  results into;
  into.add("beside a quiet guest, p50", quiet.median(), "us");
  into.add("beside a quiet guest, p99", quiet.percentile(0.99), "us");
  into.add("beside a flooding guest, p50", loud.median(), "us");
  into.add("beside a flooding guest, p99", loud.percentile(0.99), "us");
  into.add("notifications of the flood", static_cast<double>(other.kicks()), "");
  into.add_limited("beside a flooding guest, p99 to the quiet one's", loud.percentile(0.99) / quiet.percentile(0.99), 2,
                   "times");
  return into;
}

results flood_residue() {
  const log_counter log;
  world all(2, 1);
  all.start_daemon();
  all.connect();
  auto& hostile = *all.guests.back();
  const auto floods = [&](std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      flood_once(hostile, i);
    }
    std::this_thread::sleep_for(1s);
  };
  constexpr std::uint64_t million = 1'000'000;
  floods(million / 20); // the first allocations are not growth
  const auto lines = log.lines();
  const auto begin = std::chrono::steady_clock::now();
  const auto before = resident();
  floods(million);
  for (std::uint64_t i = 0; i < million; ++i) {
    hostile.front.kick(); // and for nothing
  }
  for (std::uint64_t i = 0; i < million / 10; ++i) {
    (void)hostile.front.write_node("state", i % 2 == 0 ? "4" : "a state that does not exist");
  }
  std::this_thread::sleep_for(2s);
  const auto after = resident();
  const auto minutes = std::chrono::duration<double, std::ratio<60>>(std::chrono::steady_clock::now() - begin).count();
  results into;
  into.add("length of the flood", minutes * 60, "s");
  into.add_limited("a million notifications, growth", after.anonymous - before.anonymous, 1, "MiB");
  into.add_limited("a million notifications, log lines",
                   static_cast<double>(log.lines() - lines) / std::max(minutes, 1.), 10, "a minute");
  return into;
}

} // namespace bench
