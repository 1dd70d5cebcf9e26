// SPDX-License-Identifier: GPL-2.0-or-later
// Measures what the daemon costs on the simulated host, beside the limits that the design sets.
//   bench_operations [--json FILE] [NAME...]     names: operation scan throughput boot isolation adoption idle memory
//   flood
// Ends with 0 whether or not the figures hold: a machine that is busy with something else must not fail a build.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "bench/measurements.hpp"
#include "bench/process.hpp"

namespace {

struct measurement {
  const char* name;
  const char* title;
  std::function<bench::results()> take;
};

std::vector<measurement> all() {
  using namespace bench;
  const auto apart = [](auto measure) { return [measure] { return in_child(measure); }; };
  return {
      {"operation", "one operation, on one processor", apart(operation_latency)},
      {"operation", "one operation, on all processors", apart(operation_latency_polled)},
      {"scan", "a scan of a bus, on one processor", apart(bus_scan)},
      {"scan", "a scan of a bus, on all processors", apart(bus_scan_polled)},
      {"throughput", "1 guest", apart([] { return throughput(1); })},
      {"throughput", "16 guests", apart([] { return throughput(16); })},
      {"throughput", "256 guests", apart([] { return throughput(256); })},
      {"boot", "32 guests boot at once", apart(boot_storm)},
      {"isolation", "31 guests beside one whose function hardly answers", apart(isolation)},
      {"adoption", "the daemon is replaced under its guests", apart([] { return adoption(256, 4); })},
      {"idle", "idle, 16 guests with a function each", apart(idle)},
      {"memory", "memory, 16 guests with a function each", [] { return memory(16, 1, 25); }},
      {"memory", "memory, 256 guests with 4 functions each", [] { return memory(256, 4, 64); }},
      {"flood", "a guest beside one that floods", apart(flood)},
      {"flood", "a guest beside one that switches its interrupts", apart(switching)},
      {"flood", "what a flood leaves behind", apart(flood_residue)},
  };
}

} // namespace

int main(int count, char** words) {
  std::vector<std::string> wanted(words + 1, words + count);
  std::string file;
  if (const auto option = std::find(wanted.begin(), wanted.end(), "--json"); option != wanted.end()) {
    if (option + 1 == wanted.end()) {
      fmt::print(stderr, "bench_operations: --json needs a file\n");
      return 2;
    }
    file = *(option + 1);
    wanted.erase(option, option + 2);
  }
  bench::results everything;
  bool failed = false;
  for (const auto& each : all()) {
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), each.name) == wanted.end()) {
      continue;
    }
    try {
      const auto found = each.take();
      bench::print_rows(each.title, found);
      everything.append(found);
    } catch (const std::exception& what) {
      fmt::print(stderr, "bench_operations: {}: {}\n", each.title, what.what());
      failed = true;
    }
  }
  bench::print_figures(everything);
  if (!file.empty() && !bench::write_json(file, everything)) {
    fmt::print(stderr, "bench_operations: {} cannot be written\n", file);
    failed = true;
  }
  return failed || everything.rows.empty() ? 1 : 0;
}
