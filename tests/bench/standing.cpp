// SPDX-License-Identifier: GPL-2.0-or-later
// What the daemon costs while nothing happens.
#include <chrono>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

#include "bench/measurements.hpp"
#include "bench/process.hpp"
#include "bench/world.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;

/// The world's residence, with the daemon or with the simulation's share alone: the guests' pages, rings and nodes are
/// made either way.
results residence_of(unsigned guests, unsigned devices, bool with_daemon) {
  const log_counter log;
  world all(guests, devices);
  if (with_daemon) {
    all.start_daemon();
    all.connect();
  } else {
    all.attach();
    for (const auto& each : all.guests) {
      if (const auto started = each->front.start(); !started) {
        throw std::runtime_error(pci::to_string(started.error()));
      }
    }
  }
  std::this_thread::sleep_for(500ms);
  const auto now = resident();
  results into;
  into.add("anonymous", now.anonymous, "MiB");
  into.add("file", now.file, "MiB");
  return into;
}

residence measured(unsigned guests, unsigned devices, bool with_daemon) {
  const auto found = in_child([=] { return residence_of(guests, devices, with_daemon); });
  return {found.rows.at(0).value, found.rows.at(1).value};
}

} // namespace

results adoption(unsigned guests, unsigned devices) {
  const log_counter log;
  world all(guests, devices);
  all.start_daemon();
  all.connect();
  const auto begin = std::chrono::steady_clock::now();
  all.replace_daemon();
  while (all.connected() != guests) {
    std::this_thread::sleep_for(1ms);
  }
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  for (const auto& each : all.guests) {
    (void)each->read_ids(0);
  }
  results into;
  into.add_limited(fmt::format("{} guests with {} functions each, served again", guests, devices), took.count(), 1000,
                   "ms");
  return into;
}

results idle() {
  const log_counter log;
  world all(16, 1);
  all.start_daemon();
  all.connect();
  std::this_thread::sleep_for(1s); // what follows a connection comes to rest
  constexpr auto length = 20s;     // in which everything that is looked at now and then is looked at once
  const auto before = context_switches(all.daemon_threads);
  std::this_thread::sleep_for(length);
  const auto switches = context_switches(all.daemon_threads) - before;
  results into;
  into.add("threads of the daemon", static_cast<double>(all.daemon_threads.size()), "");
  into.add_limited("idle with 16 functions, context switches",
                   static_cast<double>(switches) / std::chrono::duration<double>(length).count(), 5, "a second");
  return into;
}

results memory(unsigned guests, unsigned devices, double limit_mib) {
  const auto alone = measured(guests, devices, false);
  const auto both = measured(guests, devices, true);
  const auto empty = in_child([] {
    const auto now = resident();
    results into;
    into.add("program", now.all(), "MiB");
    return into;
  });
  const auto name = fmt::format("{} guests with {} functions", guests, guests * devices);
  const auto program = empty.rows.front().value;
  results into;
  into.add(name + ", the simulation alone", alone.all(), "MiB");
  into.add(name + ", the daemon's heap and stacks", both.anonymous - alone.anonymous, "MiB");
  into.add(name + ", the daemon's code", both.file - alone.file, "MiB");
  into.add("a program that has not started anything", program, "MiB");
  into.add_limited(name + ", the daemon with its program", both.all() - alone.all() + program, limit_mib, "MiB");
  return into;
}

} // namespace bench
