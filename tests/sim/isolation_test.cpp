// SPDX-License-Identifier: GPL-2.0-or-later
// A function whose registers take their time delays its own guest and nobody else. With the daemon's threads.
#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include <caf/scoped_actor.hpp>

#include "actors/runtime.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using clock_type = std::chrono::steady_clock;
using platform::sim::frontend;

namespace {

constexpr auto slow_access = 2500ms;
// What a busy machine may take for the rest, under a sanitizer too. The benchmark judges how long it is; who waits for
// the slow function waits for seconds.
constexpr auto prompt = 500ms;
constexpr auto slack = 50ms; // likewise, of what takes microseconds

struct crowd {
  crowd() {
    actors::settings settings;
    settings.polling.longest = 0us; // which makes short what is compared here
    for (unsigned i = 0; i < guests; ++i) {
      functions.push_back(pci::make_sbdf(0, 1, static_cast<std::uint8_t>(i), 0));
      host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), functions.back()), "");
      settings.own(functions.back());
    }
    daemon = std::move(actors::runtime::start(host, settings).value());
    for (const auto& [address, held] : daemon->hold_configured(false)) {
      REQUIRE(held);
    }
    REQUIRE(daemon->serve());
    for (unsigned i = 0; i < guests; ++i) {
      const auto domain = host.create_domain(fmt::format("guest-{}", i));
      REQUIRE(host.toolstack_attach(domain, functions[i], true));
      waiters.push_back(std::make_unique<platform::sim::threaded_waiter>(*host.bell(domain)));
      fronts.push_back(std::make_unique<frontend>(host, domain, *waiters.back()));
      REQUIRE(fronts.back()->connect());
    }
  }
  template <class Work>
  static clock_type::duration time(Work work) {
    const auto begin = clock_type::now();
    work();
    return clock_type::now() - begin;
  }
  clock_type::duration time_of_list() {
    return time([&] {
      caf::scoped_actor self{daemon->system()};
      self->request(daemon->root(), 10s, messages::status_atom_v)
          .receive([](const messages::overview& all) { CHECK(all.functions.size() == guests); },
                   [](caf::error&) { FAIL("no answer"); });
    });
  }

  static constexpr unsigned guests = 32;
  platform::sim::host host{platform::sim::clock::kind::real};
  std::unique_ptr<actors::runtime> daemon;
  std::vector<pci::sbdf> functions;
  std::vector<std::unique_ptr<platform::sim::threaded_waiter>> waiters;
  std::vector<std::unique_ptr<frontend>> fronts;
};

} // namespace

TEST_CASE_FIXTURE(crowd, "a function whose accesses take long delays neither other guests nor the administrator") {
  std::atomic<bool> slow{false};
  const auto others = [&](const std::function<bool()>& more) {
    std::vector<clock_type::duration> times;
    while (more()) {
      for (unsigned i = 1; i < guests; ++i) {
        times.push_back(time([&] { CHECK(fronts[i]->read(first_slot, 0x0c, 1).good()); }));
      }
    }
    std::ranges::sort(times);
    return times.at(times.size() * 99 / 100);
  };
  unsigned rounds = 200;
  const auto alone = others([&] { return rounds-- != 0; });

  host.xen().slow_down(functions[0], slow_access);
  slow = true;
  std::jthread victim([&] {
    (void)fronts[0]->read(first_slot, 0x0c, 1); // the hardware's; the guest gives up after 2 s
    slow = false;
  });
  std::this_thread::sleep_for(50ms);
  clock_type::duration slowest_list{};
  unsigned lists = 0;
  const auto beside = others([&] {
    slowest_list = std::max(slowest_list, time_of_list());
    ++lists;
    return slow.load();
  });
  victim.join();
  MESSAGE("p99 alone ", alone.count() / 1000, " us, beside ", beside.count() / 1000, " us; slowest of ", lists,
          " lists ", slowest_list.count() / 1000, " us");
  CHECK(beside < 2 * alone + slack);
  CHECK(slowest_list < prompt);

  host.xen().slow_down(functions[0], 0ms);
}

TEST_CASE_FIXTURE(crowd, "another guest's frontend goes and comes again while a function does not answer") {
  host.xen().slow_down(functions[0], slow_access);
  std::atomic<bool> slow{true};
  std::jthread victim([&] {
    (void)fronts[0]->read(first_slot, 0x0c, 1);
    slow = false;
  });
  std::this_thread::sleep_for(50ms);
  CHECK(fronts[1]->shutdown());
  CHECK(fronts[1]->reconnect());
  CHECK(fronts[1]->read(first_slot, 0x0c, 1).good());
  CHECK(slow);
  victim.join();
  host.xen().slow_down(functions[0], 0ms);
}
