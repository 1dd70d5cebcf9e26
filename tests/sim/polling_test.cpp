// SPDX-License-Identifier: GPL-2.0-or-later
// A guest that asks again at once is answered without its events, and without its being notified if it needs none. With
// the daemon's threads.
#include <thread>

#include <sched.h>

#include <caf/scoped_actor.hpp>

#include "actors/domain/owed_events.hpp"
#include "actors/runtime.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using platform::sim::frontend;

namespace {

constexpr unsigned reads = 2000;
constexpr unsigned for_long = 1'000'000; // spins of a frontend

// All threads that are made meanwhile get along with one processor, and the daemon is told of no other.
class one_processor {
public:
  one_processor() {
    REQUIRE(::sched_getaffinity(0, sizeof all_, &all_) == 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(::sched_getcpu(), &one);
    REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
  }
  one_processor(const one_processor&) = delete;
  one_processor& operator=(const one_processor&) = delete;
  ~one_processor() { static_cast<void>(::sched_setaffinity(0, sizeof all_, &all_)); }

private:
  cpu_set_t all_{};
};

// A guest that scans, on a daemon that polls as it is told.
struct scanning {
  explicit scanning(pci::busy_poll::limits polling, platform::sim::flavour kind = platform::sim::flavour::linux,
                    unsigned spins = 200) {
    actors::settings settings;
    settings.own(function);
    settings.polling = polling;
    host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), function), "");
    daemon = std::move(actors::runtime::start(host, settings).value());
    for (const auto& [address, held] : daemon->hold_configured(false)) {
      REQUIRE(held);
    }
    REQUIRE(daemon->serve());
    domain = host.create_domain("web");
    REQUIRE(host.toolstack_attach(domain, function, true));
    wait = std::make_unique<platform::sim::threaded_waiter>(*host.bell(domain), spins);
    front = std::make_unique<frontend>(host, domain, *wait, kind);
    REQUIRE(front->connect());
  }
  void scan() {
    for (unsigned i = 0; i < reads; ++i) {
      CHECK(front->read(first_slot, 0, 4).good());
    }
  }
  // How many operations were answered with a notification, in one scan.
  std::uint64_t notified_in_scan() {
    const auto before = host.channels().notified();
    scan();
    return host.channels().notified() - before;
  }
  messages::domain_status status() {
    messages::domain_status found;
    caf::scoped_actor self{daemon->system()};
    self->request(daemon->root(), 10s, messages::status_atom_v)
        .receive(
            [&](const messages::overview& all) {
              REQUIRE(all.domains.size() == 1);
              found = all.domains.front();
            },
            [](caf::error&) { FAIL("no answer"); });
    return found;
  }

  const pci::sbdf function = pci::make_sbdf(0, 1, 0, 0);
  platform::sim::host host{platform::sim::clock::kind::real};
  std::unique_ptr<actors::runtime> daemon;
  platform::domain_id domain{};
  std::unique_ptr<platform::sim::threaded_waiter> wait;
  std::unique_ptr<frontend> front;
};

} // namespace

TEST_CASE("operations that follow closely are found without their events, and these count as none for nothing") {
  if (std::thread::hardware_concurrency() < 2) {
    return; // one processor is better used otherwise, and the daemon does so
  }
  scanning all({1ms, 100});
  // On a machine that is busy with other tests a look may come too late; then another scan shows it.
  auto seen = all.status();
  bool mostly = false;
  for (int scans = 0; scans < 50 && !mostly; ++scans) {
    const auto before = seen.polled;
    all.scan();
    seen = all.status();
    mostly = seen.polled - before > reads / 2;
  }
  CHECK(mostly);
  CHECK(seen.operations >= reads);
  CHECK(seen.spurious <= 1); // the channel's first event
  // What was found is not lost when the guest goes on slowly.
  for (unsigned i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(5ms);
    CHECK(all.front->read(first_slot, 0, 4).good());
  }
}

TEST_CASE("polling that is switched off does not happen") {
  scanning all({0us, 5});
  CHECK(all.notified_in_scan() >= reads);
  CHECK(all.status().polled == 0);
}

TEST_CASE("a frontend that looks at the page by itself is not notified of what it has seen") {
  if (std::thread::hardware_concurrency() < 2) {
    return;
  }
  scanning all({1ms, 100}, platform::sim::flavour::netbsd, for_long);
  bool mostly = false;
  for (int scans = 0; scans < 50 && !mostly; ++scans) {
    mostly = all.notified_in_scan() < reads / 2;
  }
  CHECK(mostly);
  // When it has stopped asking, it is told of its last answer.
  const auto before = all.host.channels().notified();
  for (int i = 0; i < 1000 && all.host.channels().notified() == before; ++i) {
    CHECK(all.front->read(first_slot, 0, 4).good());
    std::this_thread::sleep_for(2ms);
  }
  CHECK(all.host.channels().notified() > before);
}

TEST_CASE("a frontend that sleeps until it is notified soon is, of nearly every answer at once") {
  if (std::thread::hardware_concurrency() < 2) {
    return;
  }
  scanning all({1ms, 100});
  // Were each answer's event to wait for a look in vain, no scan would take less than its reads' first looks do.
  bool at_once = false;
  for (int scans = 0; scans < 50 && !at_once; ++scans) {
    const auto begun = all.host.time().now();
    // An event that was left over lets it go on once, as does an answer that is there before it sleeps.
    const bool notified = all.notified_in_scan() > reads - reads / 20;
    at_once = notified && all.host.time().now() - begun < reads * pci::busy_poll::first;
  }
  CHECK(at_once);
  CHECK(all.front->timeouts() == 0);
}

TEST_CASE("a frontend that looks at the page by itself is not notified of what it has seen, on one processor either") {
  const one_processor alone;
  scanning all({1ms, 100}, platform::sim::flavour::netbsd, for_long);
  bool mostly = false;
  for (int scans = 0; scans < 50 && !mostly; ++scans) {
    mostly = all.notified_in_scan() < reads / 2;
  }
  CHECK(mostly);
  CHECK(all.status().polled == 0);
  // When it has stopped asking, it is told of its last answer.
  const auto before = all.host.channels().notified();
  for (int i = 0; i < 100 && all.host.channels().notified() == before; ++i) {
    std::this_thread::sleep_for(actors::owed_events::shortest);
  }
  CHECK(all.host.channels().notified() > before);
}

TEST_CASE("a frontend that sleeps is notified of nearly every answer at once, on one processor too") {
  const one_processor alone;
  scanning all({1ms, 100});
  bool at_once = false;
  for (int scans = 0; scans < 10 && !at_once; ++scans) {
    const auto begun = all.host.time().now();
    const bool notified = all.notified_in_scan() > reads - reads / 20;
    at_once = notified && all.host.time().now() - begun < reads * actors::owed_events::shortest / 10;
  }
  CHECK(at_once);
  CHECK(all.front->timeouts() == 0);
}
