// SPDX-License-Identifier: GPL-2.0-or-later
// How a function is reset between two guests, whom that may hit, and that a slow one holds up nobody.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "actors/runtime.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::reset_method;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct watched_resets : two_cards {
  watched_resets() {
    host.pci().before_reset([this](const pci::sbdf& address, reset_method how) { done.emplace_back(address, how); });
    REQUIRE(hold(nic));
  }
  /// A guest has the function for a moment; returns how it was reset afterwards.
  std::vector<std::pair<pci::sbdf, reset_method>> use_once() {
    const auto domain = boot("guest", {nic});
    {
      frontend guest(host, domain, *this);
      REQUIRE(guest.connect());
    }
    done.clear();
    host.toolstack_destroy(domain);
    run();
    check_clean(nic);
    check_forgotten(domain);
    return done;
  }
  using resets = std::vector<std::pair<pci::sbdf, reset_method>>;
  resets done;
};

} // namespace

TEST_CASE_FIXTURE(watched_resets, "the best method is used, and the next when it fails") {
  const auto own = host.pci().reset_options(nic).value().front().method;
  CHECK(use_once() == resets{{nic, own}});
  host.pci().add_reset_option(nic, {reset_method::device_specific, {}});
  CHECK(use_once() == resets{{nic, reset_method::device_specific}});
  host.pci().before_reset([this](const pci::sbdf& address, reset_method how) {
    done.emplace_back(address, how);
    host.pci().fail_reset(how == reset_method::device_specific ? EIO : 0);
  });
  CHECK(use_once() == resets{{nic, reset_method::device_specific}, {nic, own}});
}

TEST_CASE_FIXTURE(watched_resets, "a reset that hits another function needs that function held and idle") {
  const auto own = host.pci().reset_options(nic).value().front().method;
  host.pci().add_reset_option(nic, {reset_method::bus, {disk}});
  const auto resets_of_disk = [this] { return host.xen().facts(disk)->resets; };
  const auto before = resets_of_disk();
  CHECK(use_once() == resets{{nic, own}}); // dom0 has the disk
  CHECK(resets_of_disk() == before);

  REQUIRE(hold(disk));
  const auto held = resets_of_disk();
  CHECK(use_once() == resets{{nic, reset_method::bus}});
  CHECK(resets_of_disk() == held + 1);
  check_clean(disk);

  const auto user = boot("user", {disk});
  frontend guest(host, user, *this);
  REQUIRE(guest.connect());
  driver card(guest, first_slot);
  REQUIRE(card.probe(2));
  const auto used = resets_of_disk();
  CHECK(use_once() == resets{{nic, own}});
  CHECK(resets_of_disk() == used);
  CHECK(host.xen().raise(disk, 1));
  host.toolstack_destroy(user);
  run();
  REQUIRE(release(disk));
  CHECK(use_once() == resets{{nic, own}}); // dom0's again
}

TEST_SUITE_END();

namespace {

/// The daemon with its threads, two guests with a card each, and a reset of the first card that lasts until it is let
/// go.
struct slow_reset {
  slow_reset() {
    host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), nic), "");
    host.add_function(platform::sim::place(*platform::sim::builtin_model("nvme"), disk), "");
    actors::settings settings;
    settings.own(nic);
    settings.own(disk);
    auto started = actors::runtime::start(host, settings);
    REQUIRE(started);
    daemon = std::move(*started);
    for (const auto& [address, held] : daemon->hold_configured(false)) {
      REQUIRE(held);
    }
    REQUIRE(daemon->serve());
    host.pci().before_reset([this](const pci::sbdf& address, reset_method) { wait(address); });
    for (std::size_t i = 0; i < 2; ++i) {
      domains[i] = host.create_domain(i == 0 ? "first" : "second");
      REQUIRE(host.toolstack_attach(domains[i], i == 0 ? nic : disk, true));
    }
  }
  ~slow_reset() { let_go(); }
  void wait(const pci::sbdf& address) {
    std::unique_lock lock(mutex);
    ++resets[address];
    changed.notify_all();
    changed.wait(lock, [&] { return address != nic || !slow; });
  }
  void let_go() {
    const std::lock_guard lock(mutex);
    slow = false;
    changed.notify_all();
  }
  bool wait_for_reset(const pci::sbdf& address, unsigned count = 1) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 20s, [&] { return resets[address] >= count; });
  }
  function_state state(const pci::sbdf& address) {
    auto found = function_state::gone;
    caf::scoped_actor self{daemon->system()};
    self->request(daemon->root(), 10s, messages::status_atom_v)
        .receive(
            [&](const messages::overview& all) {
              for (const auto& each : all.functions) {
                found = each.address == address ? each.state : found;
              }
            },
            [](caf::error&) {});
    return found;
  }
  bool wait_for(const pci::sbdf& address, function_state wanted) {
    for (const auto end = std::chrono::steady_clock::now() + 20s; std::chrono::steady_clock::now() < end;) {
      if (state(address) == wanted) {
        return true;
      }
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }

  std::mutex mutex;
  std::condition_variable changed;
  bool slow = true;
  std::map<pci::sbdf, unsigned> resets;
  platform::sim::host host{platform::sim::clock::kind::real};
  std::unique_ptr<actors::runtime> daemon;
  std::array<messages::domain_id, 2> domains{};
};

} // namespace

TEST_CASE_FIXTURE(slow_reset, "a reset that lasts holds up neither other guests nor other functions' scrubs") {
  const auto bell = host.bell(domains[1]);
  platform::sim::threaded_waiter waiter(*bell);
  {
    frontend second(host, domains[1], waiter);
    REQUIRE(second.connect());
    REQUIRE(wait_for(nic, function_state::leased));
    host.toolstack_destroy(domains[0]);
    REQUIRE(wait_for_reset(nic));
    for (int i = 0; i < 100; ++i) {
      CHECK(second.read(first_slot, 0, 4).good());
    }
    REQUIRE(driver(second, first_slot).probe(2));
    CHECK(second.timeouts() == 0);
    CHECK(state(nic) == function_state::scrubbing);
    host.toolstack_destroy(domains[1]);
  }
  CHECK(wait_for(disk, function_state::held));
  CHECK(state(nic) == function_state::scrubbing);
  let_go();
  CHECK(wait_for(nic, function_state::held));
}

TEST_CASE_FIXTURE(slow_reset, "a device actor that ends by a bug is not restarted beside its job") {
  REQUIRE(wait_for(nic, function_state::leased));
  caf::scoped_actor self{daemon->system()};
  messages::device_actor device;
  self->request(daemon->root(), 10s, messages::find_atom_v, nic)
      .receive([&](const messages::device_actor& is) { device = is; }, [](caf::error&) {});
  REQUIRE(device);
  host.toolstack_destroy(domains[0]);
  REQUIRE(wait_for_reset(nic));
  caf::anon_send_exit(caf::actor_cast<caf::actor>(device), caf::exit_reason::kill);
  device = messages::device_actor{};
  REQUIRE(wait_for(nic, function_state::holding)); // the new one waits
  const auto accesses = host.xen().config_accesses();
  std::this_thread::sleep_for(100ms);
  CHECK(host.xen().config_accesses() == accesses);
  CHECK(resets[nic] == 1);
  CHECK(state(nic) == function_state::holding);
  let_go();
  CHECK(wait_for_reset(nic, 2)); // the new one's scrub, after the first has ended
  CHECK(wait_for(nic, function_state::held));
}

TEST_CASE_FIXTURE(slow_reset, "a guest that ends while its function is reset for it: the scrub waits for that") {
  REQUIRE(wait_for(nic, function_state::leased));
  const auto bell = host.bell(domains[0]);
  platform::sim::threaded_waiter waiter(*bell);
  frontend guest(host, domains[0], waiter);
  REQUIRE(guest.connect());
  REQUIRE(driver(guest, first_slot).probe(3));
  guest.answer_aer_with(static_cast<std::int32_t>(pci::recovery_result::need_reset));
  host.inject_error(nic, pci::error_severity::nonfatal);
  REQUIRE(waiter.wait_until([&] { return guest.service(); }, 20s));
  REQUIRE(wait_for_reset(nic));
  CHECK(state(nic) == function_state::leased);
  const auto accesses = host.xen().config_accesses();
  host.toolstack_destroy(domains[0]);
  REQUIRE(wait_for(nic, function_state::scrubbing));
  std::this_thread::sleep_for(100ms);
  CHECK(host.xen().config_accesses() == accesses);
  CHECK(resets[nic] == 1);
  let_go();
  CHECK(wait_for_reset(nic, 2)); // the scrub's own
  CHECK(wait_for(nic, function_state::held));
}

TEST_CASE("a daemon that is to stop takes no more functions from dom0, and still ends those it is at") {
  constexpr unsigned functions = 80;
  platform::sim::host host;
  actors::settings settings;
  for (unsigned i = 0; i < functions; ++i) {
    const auto address = pci::make_sbdf(0, static_cast<std::uint8_t>(1 + i / 32), static_cast<std::uint8_t>(i % 32), 0);
    host.add_function(platform::sim::place(*platform::sim::builtin_model("nvme"), address), "nvme");
    settings.own(address).seize = true;
  }
  auto started = actors::runtime::start(host, settings);
  REQUIRE(started);
  std::atomic<bool> stopping = false;
  host.pci().before_reset(
      [&](const pci::sbdf&, reset_method) { stopping = true; }); // the signal comes during the first scrub
  const auto outcomes = (*started)->hold_configured(stopping);
  CHECK(!outcomes.empty());
  CHECK(outcomes.size() < functions);
  for (const auto& [address, outcome] : outcomes) {
    CHECK(outcome);
    std::erase_if(settings.devices, [&where = address](const auto& one) { return one.match == where; });
  }
  for (const auto& left : settings.devices) {
    CHECK(host.xen().facts(*left.match.whole_address())->driver == "nvme");
  }
}
