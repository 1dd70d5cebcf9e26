// SPDX-License-Identifier: GPL-2.0-or-later
// A guest that asks again at once is answered without its events, and without its being notified if it needs none. With
// the daemon's threads; how often, which a busy machine decides here, is guest_server_test.cpp's.
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

// While it is asleep, does not look at the page before it is notified, and takes each notification for one wait's.
class sleeper final : public platform::sim::waiter {
public:
  explicit sleeper(platform::sim::host& host, platform::sim::doorbell& bell) : host_(&host), bell_(&bell) {}
  void sleep() { taken_ = host_->channels().notified(); }
  bool wait_until(const std::function<bool()>& condition, std::chrono::nanoseconds limit) override {
    if (!taken_) {
      return bell_->wait_until(condition, limit);
    }
    const auto& channels = host_->channels();
    const bool holds = bell_->wait_until([&] { return channels.notified() > *taken_ && condition(); }, limit);
    ++*taken_;
    return holds;
  }

private:
  platform::sim::host* host_;
  platform::sim::doorbell* bell_;
  std::optional<std::uint64_t> taken_;
};

// A guest that scans, on a daemon that polls as it is told.
struct scanning {
  explicit scanning(pci::busy_poll::limits polling, platform::sim::flavour kind = platform::sim::flavour::linux,
                    unsigned spins = 200)
      : scanning(polling, daemon_only{}) {
    wait = std::make_unique<platform::sim::threaded_waiter>(*host.bell(domain), spins);
    connect(kind);
  }
  // Its frontend only sleeps.
  static std::unique_ptr<scanning> asleep(pci::busy_poll::limits polling) {
    auto all = std::unique_ptr<scanning>(new scanning(polling, daemon_only{}));
    auto sleeps = std::make_unique<sleeper>(all->host, *all->host.bell(all->domain));
    auto& wait = *sleeps;
    all->wait = std::move(sleeps);
    all->connect(platform::sim::flavour::netbsd); // waits as it is told, where Linux looks at the page first
    std::this_thread::sleep_for(3 * actors::owed_events::longest); // what it is owed of connecting comes first
    wait.sleep();
    return all;
  }
  void connect(platform::sim::flavour kind) {
    front = std::make_unique<frontend>(host, domain, *wait, kind);
    REQUIRE(front->connect());
  }
  void scan() {
    for (unsigned i = 0; i < reads; ++i) {
      REQUIRE(front->read(first_slot, 0, 4).good());
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
  std::unique_ptr<platform::sim::waiter> wait;
  std::unique_ptr<frontend> front;

private:
  struct daemon_only {};
  scanning(pci::busy_poll::limits polling, daemon_only) {
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
  }
};

// Each event that is left out in vain has more sent at once after it: 2, 4, 8 and so on, and after that as many as
// there may be. So few are late, however fast the machine is.
void scans_asleep() {
  const auto all = scanning::asleep({1ms, 100});
  constexpr unsigned scans = 3, until_most = 10;
  for (unsigned i = 0; i < scans; ++i) {
    all->scan();
  }
  const auto seen = all->status();
  CHECK(seen.operations >= scans * reads);
  CHECK(seen.events_late <= until_most + scans * reads / pci::late_events::most);
  CHECK(all->front->timeouts() == 0);
}

} // namespace

TEST_CASE("operations that follow closely are found without their events, and these count as none for nothing") {
  if (std::thread::hardware_concurrency() < 2) {
    return; // one processor is better used otherwise, and the daemon does so
  }
  scanning all({1ms, 100});
  // On a machine that is busy with other tests looks may come too late; then more scans show it.
  all.scan();
  auto seen = all.status();
  for (int scans = 1; scans < 50 && seen.polled == 0; ++scans) {
    all.scan();
    seen = all.status();
  }
  CHECK(seen.polled > 0);
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

TEST_CASE("a frontend that looks at the page by itself goes on, and is notified of its last answer") {
  if (std::thread::hardware_concurrency() < 2) {
    return;
  }
  scanning all({1ms, 100}, platform::sim::flavour::netbsd, for_long);
  all.scan();
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
  scans_asleep();
}

TEST_CASE(
    "a frontend that looks at the page by itself goes on, and is notified of its last answer, on one processor too") {
  const one_processor alone;
  scanning all({1ms, 100}, platform::sim::flavour::netbsd, for_long);
  all.scan();
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
  scans_asleep();
}
