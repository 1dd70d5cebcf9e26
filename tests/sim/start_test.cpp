// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon's start with many functions. With its threads.
#include <atomic>
#include <chrono>
#include <thread>

#include <doctest/doctest.h>

#include "actors/runtime.hpp"
#include "sim_support.hpp"

using namespace std::chrono_literals;

TEST_CASE(
    "functions that are held at the start are scrubbed side by side, and whatever one fails of, the others are held") {
  constexpr unsigned functions = 64;
  constexpr auto reset_takes = 100ms;
  platform::sim::host host{platform::sim::clock::kind::real};
  std::atomic<unsigned> resets{0};
  host.pci().before_reset([&](const pci::sbdf&, pci::reset_method) {
    ++resets;
    std::this_thread::sleep_for(reset_takes);
  });
  actors::settings settings;
  for (unsigned i = 0; i < functions; ++i) {
    const auto address = pci::make_sbdf(0, 1, static_cast<std::uint8_t>(i / 8 + 1), static_cast<std::uint8_t>(i % 8));
    host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), address), "");
    settings.own(address);
  }
  settings.own(pci::make_sbdf(0, 2, 0, 0)); // which the host does not have
  const auto daemon = std::move(actors::runtime::start(host, settings).value());
  const auto begin = std::chrono::steady_clock::now();
  unsigned held = 0;
  for (const auto& [address, outcome] : daemon->hold_configured(false)) {
    held += outcome ? 1 : 0;
    CHECK(outcome.has_value() == (address.bus == 1));
  }
  const auto took = std::chrono::steady_clock::now() - begin;
  CHECK(held == functions);
  CHECK(resets >= functions);
  CHECK(took < functions * reset_takes / 2); // one after the other it is 6.4 s at least
  MESSAGE("64 functions were held in ", std::chrono::duration_cast<std::chrono::milliseconds>(took).count(), " ms");
}
