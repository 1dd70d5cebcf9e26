// SPDX-License-Identifier: GPL-2.0-or-later
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
constexpr unsigned flood_block = 2000;

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
  /// Operations of it that the daemon carried out.
  [[nodiscard]] std::uint64_t served() const { return served_; }

private:
  void live(guest& who, const std::stop_token& stop) {
    who.front.post(who.front.make(pci::op_code::conf_read, {}));
    while (!stop.stop_requested()) {
      if (on_) {
        served_ += (who.front.flags() & pci::wire::frontend_active) == 0 ? 1 : 0;
        flood_once(who, ++kicks_);
      }
    }
  }

  std::atomic<bool> on_{false};
  std::atomic<std::uint64_t> kicks_{0}, served_{0};
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
  // It shares a processor with the daemon, which may not finish the neighbour's work before an answer is seen.
  const bool prompt = run_when_woken();
  // Each round's p99, and of these the median: what else the machine does in one round does not decide.
  samples quiet, loud, quiet_p99, loud_p99;
  const auto round = [&](bool flooding, samples& all_rounds, samples& p99) {
    other.flood(flooding);
    samples times(flood_block);
    for (unsigned i = 0; i < flood_block; ++i) {
      times.time([&] { (void)victim.read_ids(0); });
    }
    p99.add(times.percentile(0.99));
    all_rounds.add(times);
  };
  for (unsigned i = 0; i < rounds; ++i) {
    round(false, quiet, quiet_p99);
    round(true, loud, loud_p99);
  }
  results into;
  into.add("the guest runs as soon as it is woken", prompt ? 1 : 0, "");
  into.add("beside a quiet guest, p50", quiet.median(), "us");
  into.add("beside a quiet guest, p99 of a round", quiet_p99.median(), "us");
  into.add("beside a quiet guest, p99 of all", quiet.percentile(0.99), "us");
  into.add("beside a flooding guest, p50", loud.median(), "us");
  into.add("beside a flooding guest, p99 of a round", loud_p99.median(), "us");
  into.add("beside a flooding guest, p99 of all", loud.percentile(0.99), "us");
  into.add("notifications of the flood", static_cast<double>(other.kicks()), "");
  into.add("operations of the flood, carried out", static_cast<double>(other.served()), "");
  into.add_limited("beside a flooding guest, p99 to the quiet one's", loud_p99.median() / quiet_p99.median(), 2,
                   "times");
  return into;
}

results switching() {
  const auto all_processors = processors();
  const log_counter log;
  pin_to(0);
  world all(2, 1);
  all.start_daemon();
  all.connect();
  if (all_processors < 2) {
    throw std::runtime_error("a neighbour needs a second processor");
  }
  auto& victim = *all.guests.front();
  std::atomic<bool> on{false};
  std::atomic<std::uint64_t> switched{0};
  std::jthread neighbour([&](const std::stop_token& stop) {
    pin_to(1);
    auto& front = all.guests.back()->front;
    const pci::sbdf function{};
    (void)front.write(function, 4, 2, 6);
    while (!stop.stop_requested()) {
      if (on && front.enable_msix(function, {0, 1, 2}).good()) {
        (void)front.disable(function);
        ++switched;
      }
    }
  });
  samples quiet, loud, quiet_p99, loud_p99;
  const auto round = [&](bool loudly, samples& all_rounds, samples& p99) {
    on = loudly;
    std::this_thread::sleep_for(20ms);
    samples times(flood_block);
    for (unsigned i = 0; i < flood_block; ++i) {
      times.time([&] { (void)victim.read_ids(0); });
    }
    p99.add(times.percentile(0.99));
    all_rounds.add(times);
  };
  for (unsigned i = 0; i < rounds; ++i) {
    round(false, quiet, quiet_p99);
    round(true, loud, loud_p99);
  }
  on = false;
  results into;
  into.add("beside a quiet guest, p50", quiet.median(), "us");
  into.add("beside a quiet guest, p99 of a round", quiet_p99.median(), "us");
  into.add("beside one that switches MSI-X, p50", loud.median(), "us");
  into.add("beside one that switches MSI-X, p99 of a round", loud_p99.median(), "us");
  into.add("MSI-X switched on and off", static_cast<double>(switched), "");
  into.add_limited("beside one that switches MSI-X, p50 to the quiet one's", loud.median() / quiet.median(), 2,
                   "times");
  into.add_limited("beside one that switches MSI-X, p99 to the quiet one's", loud_p99.median() / quiet_p99.median(), 2,
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
  const auto before = peak_anew();
  floods(million);
  for (std::uint64_t i = 0; i < million; ++i) {
    hostile.front.kick(); // and for nothing
  }
  for (std::uint64_t i = 0; i < million / 10; ++i) {
    (void)hostile.front.write_node("state", i % 2 == 0 ? "4" : "a state that does not exist");
  }
  std::this_thread::sleep_for(2s);
  const auto after = peak();
  const auto minutes = std::chrono::duration<double, std::ratio<60>>(std::chrono::steady_clock::now() - begin).count();
  results into;
  into.add("length of the flood", minutes * 60, "s");
  into.add_limited("a million notifications, peak growth", after - before, 1, "MiB");
  into.add_limited("a million notifications, log lines",
                   static_cast<double>(log.lines() - lines) / std::max(minutes, 1.), 10, "a minute");
  return into;
}

} // namespace bench
