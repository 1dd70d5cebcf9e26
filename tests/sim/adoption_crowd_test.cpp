// SPDX-License-Identifier: GPL-2.0-or-later
// Many guests whose daemon is replaced while they work. With the daemon's threads.
#include <atomic>
#include <thread>
#include <vector>

#include <caf/scoped_actor.hpp>
#include <spdlog/spdlog.h>

#include "actors/runtime.hpp"
#include "platform/records.hpp"
#include "platform/sim/driver.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using platform::sim::driver;
using platform::sim::frontend;

namespace {

#if defined(__SANITIZE_THREAD__)
constexpr unsigned guests = 8; // all is ten times as slow
#else
constexpr unsigned guests = 64;
#endif
constexpr unsigned replacements = 4;
// The benchmark judges how long it takes; here the machine is busy with other tests.
constexpr auto patience = 30s;

struct adopted_crowd {
  adopted_crowd() {
    for (unsigned i = 0; i < guests; ++i) {
      functions.push_back(
          pci::make_sbdf(0, static_cast<std::uint8_t>(1 + i / 32), static_cast<std::uint8_t>(i % 32), 0));
      host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), functions.back()), "");
      settings.own(functions.back());
    }
    start();
    for (unsigned i = 0; i < guests; ++i) {
      domains.push_back(host.create_domain(fmt::format("guest-{}", i)));
      REQUIRE(host.toolstack_attach(domains.back(), functions[i], true));
      waiters.push_back(std::make_unique<platform::sim::threaded_waiter>(*host.bell(domains.back())));
      fronts.push_back(std::make_unique<frontend>(host, domains.back(), *waiters.back()));
      fronts.back()->set_patience(patience);
      REQUIRE(fronts.back()->connect());
      REQUIRE(driver(*fronts.back(), first_slot).probe(3));
    }
  }
  void start() {
    daemon = std::move(actors::runtime::start(host, settings, {journal}).value());
    for (const auto& [address, held] : daemon->hold_configured(false)) {
      CHECK(held);
    }
    REQUIRE(daemon->serve());
  }
  unsigned connected() {
    unsigned count = 0;
    caf::scoped_actor self{daemon->system()};
    self->request(daemon->root(), 10s, messages::status_atom_v)
        .receive(
            [&](const messages::overview& all) {
              for (const auto& each : all.domains) {
                count += each.connected ? 1 : 0;
              }
            },
            [](caf::error&) { FAIL("no answer"); });
    return count;
  }

  platform::sim::host host{platform::sim::clock::kind::real};
  actors::settings settings;
  std::shared_ptr<platform::records> journal = std::make_shared<platform::memory_records>();
  std::unique_ptr<actors::runtime> daemon;
  std::vector<pci::sbdf> functions;
  std::vector<platform::domain_id> domains;
  std::vector<std::unique_ptr<platform::sim::threaded_waiter>> waiters;
  std::vector<std::unique_ptr<frontend>> fronts;
};

} // namespace

TEST_CASE_FIXTURE(adopted_crowd, "many guests that work notice nothing of it when their daemon is replaced") {
  std::atomic<bool> ended{false};
  std::atomic<unsigned> wrong{0}, reads{0};
  {
    std::vector<std::jthread> work;
    const std::unique_ptr<std::atomic<bool>, void (*)(std::atomic<bool>*)> end_all(&ended,
                                                                                   [](auto* all) { *all = true; });
    for (unsigned i = 0; i < guests; ++i) {
      work.emplace_back([&, i] {
        while (!ended) {
          const auto seen = fronts[i]->read(first_slot, 0, 4);
          if (!seen.good() || seen.value != 0x10d38086) {
            ++wrong;
            spdlog::error("guest {}: error {}, value {:x}, late {}", i, seen.error, seen.value, seen.timed_out);
          }
          ++reads;
          std::this_thread::sleep_for(1ms);
        }
      });
    }
    for (unsigned i = 0; i < replacements; ++i) {
      std::this_thread::sleep_for(50ms);
      daemon.reset();
      host.end_daemon();
      const auto began = std::chrono::steady_clock::now();
      start();
      while (connected() != guests && std::chrono::steady_clock::now() - began < patience) {
        std::this_thread::sleep_for(5ms);
      }
      MESSAGE("served again after ",
              std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count(),
              " ms");
      CHECK(connected() == guests);
    }
  }
  CHECK(wrong == 0);
  CHECK(reads > guests * replacements);
  for (unsigned i = 0; i < guests; ++i) {
    CHECK(fronts[i]->timeouts() == 0);
    CHECK(host.xen().raise(functions[i], 2));
    CHECK(host.xen().holdings(domains[i]).message_pirqs.size() == 3);
    REQUIRE(fronts[i]->disable(first_slot).good());
    CHECK(host.xen().holdings(domains[i]).message_pirqs.empty());
  }
}
