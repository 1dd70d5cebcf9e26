// SPDX-License-Identifier: GPL-2.0-or-later
// Many guests at once.
#include <chrono>
#include <stdexcept>

#include <fmt/format.h>

#include "bench/measurements.hpp"
#include "bench/statistics.hpp"
#include "bench/world.hpp"

namespace bench {

results throughput(unsigned guests) {
  const log_counter log;
  world all(guests, 1);
  all.start_daemon();
  all.connect();
  using namespace std::chrono_literals;
  constexpr auto length = 3s;
  std::vector<samples> times(guests);
  const auto end = std::chrono::steady_clock::now() + length;
  all.run(guests, [&](guest& who, std::size_t number) {
    while (std::chrono::steady_clock::now() < end) {
      times[number].time([&] { (void)who.read_ids(0); });
    }
  });
  samples together;
  for (const auto& each : times) {
    together.add(each);
  }
  results into;
  const auto name = fmt::format("{} guest{}", guests, guests == 1 ? "" : "s");
  into.add(name + ", operations", static_cast<double>(together.size()) / std::chrono::duration<double>(length).count(),
           "a second");
  into.add(name + ", p50", together.median(), "us");
  into.add(name + ", p99", together.percentile(0.99), "us");
  return into;
}

results boot_storm() {
  constexpr unsigned guests = 32;
  const log_counter log;
  world all(guests, 1);
  all.start_daemon();
  std::vector<samples> times(guests), boots(guests);
  all.run(guests, [&](guest& who, std::size_t number) {
    boots[number].time([&] {
      if (const auto done = who.front.connect(); !done) {
        throw std::runtime_error(pci::to_string(done.error()));
      }
      for (unsigned devfn = 0; devfn < 256; ++devfn) {
        times[number].time([&] { (void)who.read_ids(static_cast<std::uint8_t>(devfn)); });
      }
      // And all of what Linux does with the functions that it finds.
      if (who.front.scan().size() != 1) {
        throw std::runtime_error("a guest did not find its function");
      }
    });
  });
  samples operations, whole;
  std::uint64_t timeouts = 0;
  for (unsigned i = 0; i < guests; ++i) {
    operations.add(times[i]);
    whole.add(boots[i]);
    timeouts += all.guests[i]->front.timeouts();
  }
  results into;
  into.add("32 guests boot, operation p50", operations.median(), "us");
  into.add_limited("32 guests boot, operation p99", operations.percentile(0.99) / 1000, 100, "ms");
  into.add("32 guests boot, slowest guest", whole.percentile(1) / 1000, "ms");
  into.add_limited("32 guests boot, time-outs", static_cast<double>(timeouts), 0, "");
  return into;
}

results isolation() {
  constexpr unsigned guests = 32;
  constexpr unsigned reads = 2000;
  constexpr auto slow_access = std::chrono::milliseconds(2500);
  const log_counter log;
  world all(guests, 1);
  all.start_daemon();
  all.connect();
  samples lists;
  // The hardware is asked each time: the size of a cache line is not answered from a copy.
  const auto measure = [&](bool with_slow) {
    std::vector<samples> times(guests);
    all.run(guests, [&](guest& who, std::size_t number) {
      if (number == 0) {
        if (with_slow) {
          (void)who.front.read({}, 0x0c, 1);
        }
        return;
      }
      for (unsigned i = 0; i < reads; ++i) {
        times[number].time([&] { (void)who.front.read({}, 0x0c, 1); });
        if (with_slow && number == 1 && i % 100 == 0) {
          lists.time([&] { all.list(); });
        }
      }
    });
    samples together;
    for (const auto& each : times) {
      together.add(each);
    }
    return together;
  };
  auto alone = measure(false);
  all.host.xen().slow_down(all.function_of(0), slow_access);
  auto beside = measure(true);
  all.host.xen().slow_down(all.function_of(0), {});
  results into;
  into.add("31 guests alone, p99", alone.percentile(0.99), "us");
  into.add("31 guests beside a slow function, p99", beside.percentile(0.99), "us");
  into.add_limited("31 guests beside a slow function, p99 to alone", beside.percentile(0.99) / alone.percentile(0.99),
                   2, "times");
  into.add_limited("beside a slow function, slowest list", lists.percentile(1) / 1000, 100, "ms");
  return into;
}

} // namespace bench
