// SPDX-License-Identifier: GPL-2.0-or-later
// A whole life, again and again, in which each time another call to the host fails, or the daemon is killed at it.
#include <algorithm>
#include <cstdlib>
#include <random>

#include "faulty_host.hpp"
#include "logged_text.hpp"
#include "restarted.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using pci::op_code;
using platform::sim::driver;
using platform::sim::frontend;

namespace {

using fault_plan = std::map<std::size_t, faults::fault>;

// Under a sanitizer, where a life takes ten times as long, every so many points; where it looks for what threads do to
// each other, and here is one, hardly any.
#if defined(__SANITIZE_THREAD__)
constexpr std::size_t stride = 307;
#elif defined(__SANITIZE_ADDRESS__)
constexpr std::size_t stride = 23;
#else
constexpr std::size_t stride = 1;
#endif

/// What outlives the daemon.
struct faulty_parts {
  faults all_faults;
  std::unique_ptr<faulty_host> faulty;
};

/// The daemon on a host whose calls fail as planned.
struct faulty_life : private faulty_parts, restarted {
  explicit faulty_life(fault_plan plan) {
    stop_daemon();
    faulty = std::make_unique<faulty_host>(host, all_faults);
    all_faults.plan = std::move(plan);
    all_faults.xenstored_goes = [this] {
      host.lose_xenstored();
      xenstored_is_back = host.time().now() + 3s;
    };
    all_faults.died = [this] { words.emplace(*records); };
    start_faulty();
  }
  ~faulty_life() override {
    all_faults.plan.clear();
    all_faults.dead = false;
  }
  const std::vector<std::string>& calls() const { return all_faults.calls; }
  const std::vector<std::string>& hit() const { return all_faults.hit; }

  void start_faulty() {
    all = std::make_shared<actors::environment>(
        actors::environment{*faulty, actors::settings{}, events, store_worker, false});
    all->journal = std::make_shared<actors::journal>(faulty_records(records, all_faults));
    root = system.spawn(actors::root, actors::environment_ptr(all));
    events.set_root(root);
    REQUIRE(host.start(events));
    caf::anon_send(root, messages::restore_atom_v);
    caf::anon_send(root, messages::adopt_atom_v);
    deterministic_daemon::step();
    static_cast<void>(actors::pump::watch(faulty->xenstore()));
    const auto backends = actors::list_backends(host.tools()).value();
    for (const auto each : backends) {
      caf::anon_send(root, messages::changed_atom_v, each);
    }
  }
  // The process has ended; the next one is started at once.
  bool step() override {
    if (all_faults.dead && !replacing) {
      replacing = true;
      host.end_daemon();
      stop_daemon();
      words->put_back();
      all_faults.dead = false;
      start_faulty();
      replacing = false;
      return true;
    }
    if (xenstored_is_back && host.time().now() >= *xenstored_is_back) {
      xenstored_is_back.reset();
      host.regain_xenstored();
      return true;
    }
    return restarted::step();
  }

  /// An administrator who tries again.
  bool persist(const std::function<bool()>& what) {
    for (int tries = 0; tries < 4; ++tries) {
      const bool done = what();
      run(); // if the daemon has just been killed, what the next one says counts
      if (done) {
        return true;
      }
      advance(2s);
    }
    return false;
  }
  bool is_held(const pci::sbdf& address) { return function(address).state == function_state::held; }
  void hold_again(const pci::sbdf& address) {
    CAPTURE(pci::to_string(address));
    CHECK(persist([&] {
      const auto state = function(address).state;
      if (state == function_state::failed) {
        return retry(address).has_value() && is_held(address);
      }
      return is_held(address) || hold(address).has_value();
    }));
  }
  bool boot_guest() {
    domain = host.create_domain("guest");
    domains.push_back(domain);
    if (!host.toolstack_attach(domain, nic, true)) {
      return false;
    }
    run();
    guest = std::make_unique<frontend>(host, domain, *this);
    // One whose scan has lost an answer may have seen half a function.
    return guest->connect(20s).has_value() && guest->timeouts() == 0 && driver(*guest, first_slot).probe(3).has_value();
  }
  void start_guest_again() {
    CHECK(persist([&] {
      if (boot_guest()) {
        return true;
      }
      end_guest();
      hold_again(nic);
      return false;
    }));
  }
  void end_guest() {
    host.toolstack_destroy(domain);
    timeouts += guest ? guest->timeouts() : 0;
    guest.reset();
    run();
    advance(5s);
  }
  bool plug(bool on) {
    caf::scoped_actor asker(system, true);
    const auto wanted = [&] { return function(disk).domain == domain && function(disk).virtual_address.has_value(); };
    const auto whom = find_guest("guest");
    if (!whom) {
      return false;
    }
    if (on) {
      caf::anon_send(root, messages::attach_atom_v, *whom, disk);
      return serve(*guest, [&] { return wanted() && guest->state() == 4; });
    }
    caf::anon_send(root, messages::detach_atom_v, *whom, disk);
    return serve(*guest, [&] { return is_held(disk); });
  }

  // One life. A fault may cost the guest an operation, and somebody has to try again, but nothing may be left behind.
  void live() {
    hold_again(nic);
    hold_again(disk);
    start_guest_again();
    work();
    recover();
    plugging();
    CHECK(persist([&] { return guest->read(first_slot, 0, 4).value == 0x10d38086; }));
    end_guest();
    hold_again(nic);
    hold_again(disk);
    check_clean(nic);
    check_clean(disk);
    give_back(nic, "e1000e");
    give_back(disk, "nvme");
    for (const auto each : domains) {
      CHECK(persist([&] { return guest_status(each).domain == 0; })); // its actor may wait for xenstored to recover
      check_forgotten(each);
    }
    CHECK(all->journal->flush()); // a record that could not be removed goes with the next that is written
    CHECK(records->names()->empty());
    CHECK(host.guards().guarded().empty());
  }
  void work() {
    CHECK(persist([&] { return guest->disable(first_slot).good() || !has_interrupts(); }));
    CHECK(persist([&] { return guest->enable_msi(first_slot).good(); }));
    CHECK(host.xen().raise(nic, 0));
    CHECK(persist([&] { return guest->disable(first_slot).good() || !has_interrupts(); }));
    driver card(*guest, first_slot);
    CHECK(persist([&] { // one that got less than it wanted is loaded again
      card.remove();
      return card.probe(3).has_value() && card.kind() == driver::interrupt_kind::msix;
    }));
    CHECK(host.xen().raise(nic, 2));
  }
  bool has_interrupts() { return holding_pirqs(domain) != 0; }
  // A guest that cannot be helped is stopped, and its toolstack starts it again.
  void recover() {
    guest->set_flags(2);
    guest->handle_aer([](const pci::wire::aer_operation& request) -> std::optional<std::int32_t> {
      return request.cmd == static_cast<std::uint32_t>(op_code::aer_detected) ? 3 : 5; // need reset, recovered
    });
    host.inject_error(nic, pci::error_severity::nonfatal);
    for (int i = 0; i < 100; ++i) {
      guest->service();
      advance(100ms);
    }
    const auto info = host.xen().domain(domain);
    REQUIRE(info);
    if (info->shutdown) {
      end_guest();
      hold_again(nic);
      start_guest_again();
    }
  }
  void plugging() {
    plug_begins = calls().size();
    INFO("hit: ", fmt::format("{}", fmt::join(hit(), ", ")));
    CHECK(persist([&] {
      if (function(disk).state == function_state::inherited) { // its attach began under another daemon, and was refused
        plug(false);
      }
      hold_again_unless_leased();
      return plug(true);
    }));
    CHECK(persist([&] { return guest->read(second_slot, 0, 4).good(); }));
    CHECK(persist([&] { return plug(false); }));
  }
  void hold_again_unless_leased() {
    if (!function(disk).domain) {
      hold_again(disk);
    }
  }
  void give_back(const pci::sbdf& address, const std::string& driver) {
    CAPTURE(pci::to_string(address));
    CHECK(persist([&] {
      static_cast<void>(release(address));
      run();
      return function(address).address != address;
    }));
    CHECK(host.pci().driver(address).value_or("") == driver);
    CHECK(host.xen().facts(address)->owner == 0);
  }

  std::vector<domain_id> domains;
  std::optional<kept_words> words; ///< of the last one that was killed
  bool replacing = false;
  std::optional<std::chrono::nanoseconds> xenstored_is_back; ///< when; empty: it is there
  std::size_t plug_begins = 0;                               ///< so many calls into its life
  std::uint64_t timeouts = 0;                                ///< of all guests
};

/// The calls of a life without a fault.
std::vector<std::string> calls_of_a_life() {
  faulty_life life{{}};
  life.live();
  return life.calls();
}

std::string describe(const fault_plan& plan, const std::vector<std::string>& calls) {
  std::string text;
  for (const auto& [number, fault] : plan) {
    const std::string what = fault.what == faults::kind::ends             ? "killed before"
                             : fault.what == faults::kind::ends_after     ? "killed after"
                             : fault.what == faults::kind::xenstored_goes ? "xenstored goes"
                                                                          : fmt::format("error {}", fault.error);
    text += fmt::format("{}{} {}: {}", text.empty() ? "" : ", ", number, calls.at(number - 1), what);
  }
  return text;
}

// Returns 1. FAULT_POINT=N in the environment: only those with call N.
std::size_t live_with(const fault_plan& plan, const std::vector<std::string>& calls) {
  const char* only = std::getenv("FAULT_POINT");
  if (only != nullptr && !plan.contains(std::strtoul(only, nullptr, 10))) {
    return 0;
  }
  const auto faults_are = describe(plan, calls);
  CAPTURE(faults_are);
  const logged_text log;
  faulty_life life{plan};
  life.live();
  CHECK_FALSE(log.has("bug"));
  const auto killed = [](const auto& each) { return each.second.what != faults::kind::error; };
  CHECK((life.timeouts == 0 || !std::ranges::all_of(plan, killed)));
  return 1;
}

} // namespace

TEST_SUITE_BEGIN("deterministic");

TEST_CASE("each call of a life fails once, and nothing is left behind") {
  const auto calls = calls_of_a_life();
  std::size_t points = 0;
  for (std::size_t number = 1; number <= calls.size(); number += stride) {
    for (const auto error : faults::errors_of(calls[number - 1])) {
      points += live_with({{number, {faults::kind::error, error}}}, calls);
    }
  }
  MESSAGE(points, " points");
}

TEST_CASE("the daemon is killed before and after each call of a life, and its guest notices nothing") {
  const auto calls = calls_of_a_life();
  std::size_t points = 0;
  for (std::size_t number = 1; number <= calls.size(); number += stride) {
    for (const auto what : {faults::kind::ends, faults::kind::ends_after}) {
      points += live_with({{number, {what, 0}}}, calls);
    }
  }
  MESSAGE(points, " points");
}

TEST_CASE("xenstored goes at a call of a life, for three seconds, and the guest notices nothing") {
  faulty_life whole{{}};
  const auto first = whole.calls().size() + 1; // a daemon that has not begun ends, and is started again
  whole.live();
  std::size_t points = 0;
  for (auto number = first; number <= whole.calls().size(); number += 5 * stride) {
    points += live_with({{number, {faults::kind::xenstored_goes, 0}}}, whole.calls());
  }
  MESSAGE(points, " points");
}

// What is plugged then must not come to where the guest sees what could not be adopted at once.
TEST_CASE("the daemon is killed while a function is plugged, and the next one's xenstore fails once") {
  faulty_life whole{{}};
  whole.live();
  constexpr std::size_t killed_within = 160, failed_within = 150;
  std::size_t points = 0;
  for (std::size_t killed = 0; killed < killed_within; killed += 8 * stride) {
    for (std::size_t failed = 1; failed < failed_within; failed += 6) {
      const auto number = whole.plug_begins + killed;
      points +=
          live_with({{number, {faults::kind::ends, 0}}, {number + failed, {faults::kind::error, EIO}}}, whole.calls());
    }
  }
  MESSAGE(points, " points");
}

// Which two is the same in each run.
TEST_CASE("two calls of a life fail, or the daemon is killed at one of them") {
  const auto calls = calls_of_a_life();
  std::mt19937 random(1);
  std::size_t points = 0;
  for (std::size_t i = 0; i < 1000 / stride; ++i) {
    fault_plan plan;
    while (plan.size() < 2) {
      const auto number = 1 + random() % calls.size();
      const auto& errors = faults::errors_of(calls[number - 1]);
      if (errors.empty() || random() % 4 == 0) {
        plan[number] = {random() % 2 == 0 ? faults::kind::ends : faults::kind::ends_after, 0};
      } else {
        plan[number] = {faults::kind::error, errors[random() % errors.size()]};
      }
    }
    points += live_with(plan, calls);
  }
  MESSAGE(points, " points");
}

TEST_SUITE_END();
