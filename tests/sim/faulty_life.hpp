// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>

#include "actors/look/census.hpp"
#include "faulty_host.hpp"
#include "restarted.hpp"

/// A whole life of two functions and their guest, on a host that fails as planned.
namespace test {

using namespace std::chrono_literals;
using messages::function_state;
using pci::op_code;
using platform::sim::driver;
using platform::sim::frontend;

// Under a sanitizer, where a life takes ten times as long, every so many points; where it looks for what threads do to
// each other, and here is one, hardly any.
#if defined(__SANITIZE_THREAD__)
inline constexpr std::size_t fault_stride = 307;
#elif defined(__SANITIZE_ADDRESS__)
inline constexpr std::size_t fault_stride = 23;
#else
inline constexpr std::size_t fault_stride = 1;
#endif

/// What outlives the daemon.
struct faulty_parts {
  faults all_faults;
  std::unique_ptr<faulty_host> faulty;
  std::unique_ptr<faulty_sink> sink;
};

/// What is planned for a life.
struct fault_plan {
  std::map<std::size_t, faults::fault> calls{};
  std::map<std::size_t, faults::event_kind> events{};
};

/// The daemon on a host whose calls fail as planned.
struct faulty_life : private faulty_parts, restarted {
  /// `journal`: where it is kept; null: in memory.
  explicit faulty_life(fault_plan plan, std::shared_ptr<platform::records> journal = {}, bool with_bystander = false)
      : kept(journal ? std::move(journal) : records) {
    faulty = std::make_unique<faulty_host>(host, all_faults);
    sink = std::make_unique<faulty_sink>(events, all_faults, host.time());
    if (with_bystander) {
      host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), third), "e1000e");
      REQUIRE(hold(third));
      add_bystander();
    }
    stop_daemon();
    if (kept != records) {
      const auto names = records->names().value();
      for (const auto& name : names) {
        REQUIRE(kept->write(name, records->read(name).value()));
      }
    }
    all_faults.plan = std::move(plan.calls);
    all_faults.event_plan = std::move(plan.events);
    all_faults.xenstored_goes = [this] {
      host.lose_xenstored();
      xenstored_is_back = host.time().now() + 3s;
    };
    all_faults.stuck = [this](std::string_view call) { stay_in(call); };
    all_faults.died = [this] { words.emplace(*kept); };
    start_faulty();
  }
  ~faulty_life() override {
    all_faults.plan.clear();
    all_faults.event_plan.clear();
    all_faults.dead = false;
  }
  const std::vector<std::string>& calls() const { return all_faults.calls; }
  const std::vector<std::string>& hit() const { return all_faults.hit; }
  void when_torn(std::function<void(const std::string& name, std::string_view text)> how) {
    all_faults.torn = std::move(how);
  }
  const std::vector<std::string>& told() const { return all_faults.events; }

  void start_faulty() {
    all = std::make_shared<actors::environment>(
        actors::environment{*faulty, actors::settings{}, events, store_worker, false});
    all->journal = std::make_shared<actors::journal>(faulty_records(kept, all_faults));
    root = system.spawn(actors::root, actors::environment_ptr(all));
    events.set_root(root);
    REQUIRE(host.start(*sink));
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
      sink->forget();
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
    return sink->tell_late() || (goes_on == others::everybody && scheduler.try_run_once()) || step_threads();
  }
  // Of guests, and of the host's events.
  bool step_threads() {
    if (goes_on == others::nobody) {
      return false;
    }
    const bool outer = std::exchange(in_guests_thread, true);
    const bool stepped = all->servers->step() || (goes_on == others::everybody && host.deliver_lines());
    in_guests_thread = outer;
    return stepped;
  }

  // -- a call that does not return

  /// What goes on while a thread stays in a call. All runs in one thread here, so that nobody may go on who would want
  /// a lock that the call is made with.
  enum class others : std::uint8_t {
    everybody, ///< it is a thread for such calls
    guests,    ///< it is that of all actors: guests that have what they need are served
    nobody,    ///< it is a guest's; isolation_test.cpp shows, with threads, that it is the only one that waits
  };
  others who_goes_on(std::string_view call) {
    if (in_guests_thread || call == "notify") {
      return others::nobody;
    }
    const auto everyone = actors::census::all().take(system);
    const bool in_job = std::ranges::any_of(
        everyone, [](const actors::actor_account& each) { return each.kind == "job" && each.waiting == 0; });
    if (!call.starts_with("journal") && (in_job || call.starts_with("xenstore"))) {
      return others::everybody;
    }
    const bool operates = guest && (guest->flags() & pci::wire::frontend_active) != 0;
    return operates ? others::nobody : others::guests;
  }
  void stay_in(std::string_view call) {
    goes_on = who_goes_on(call);
    for (int i = 0; i < 10; ++i) { // until the watchdog, or whoever it is, has ended it, and another begins
      advance(100ms);
      if (bystander_is_served && goes_on != others::nobody) {
        served_meanwhile += bystander->read(first_slot, 0, 4).good() ? 1 : 0;
        not_served_meanwhile += bystander->timeouts();
      }
    }
    goes_on = others::everybody;
  }
  /// Another guest, with a function of its own, which wants to notice nothing.
  void add_bystander() {
    bystands = host.create_domain("bystander");
    REQUIRE(host.toolstack_attach(bystands, third, true));
    run();
    bystander = std::make_unique<frontend>(host, bystands, *this);
    REQUIRE(bystander->connect());
    REQUIRE(driver(*bystander, first_slot).probe(3));
  }
  void end_bystander() {
    CHECK(bystander->read(first_slot, 0, 4).value == 0x10d38086);
    CHECK(bystander->timeouts() == 0);
    bystander_is_served = false;
    host.toolstack_destroy(bystands);
    bystander.reset();
    run();
    hold_again(third);
    check_clean(third);
    give_back(third, "e1000e");
    domains.push_back(bystands);
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
  /// Its guest is one of whom the next daemon cannot know what it has: it is not served again, and has to be ended.
  bool forgotten() const { return forgets_guests && !hit().empty(); }
  void expect(bool done) { CHECK((done || forgotten())); }
  bool is_held(const pci::sbdf& address) { return function(address).state == function_state::held; }
  bool is_held_again(const pci::sbdf& address) {
    return persist([&] {
      const auto state = function(address).state;
      if (state == function_state::failed) {
        return retry(address).has_value() && is_held(address);
      }
      return is_held(address) || hold(address).has_value();
    });
  }
  void hold_again(const pci::sbdf& address) {
    CAPTURE(pci::to_string(address));
    CHECK(is_held_again(address));
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
    expect(persist([&] {
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
    if (bystander) { // by this daemon, which has begun
      CHECK(persist([&] { return bystander->read(first_slot, 0, 4).good(); }));
      bystander_is_served = true;
    }
    hold_again(nic);
    hold_again(disk);
    start_guest_again();
    for (const auto stage : {&faulty_life::work, &faulty_life::recover, &faulty_life::plugging}) {
      if (!forgotten()) {
        (this->*stage)();
      }
    }
    expect(forgotten() || persist([&] { return guest->read(first_slot, 0, 4).value == 0x10d38086; }));
    end_guest();
    hold_again(nic);
    hold_again(disk);
    check_clean(nic);
    check_clean(disk);
    give_back(nic, "e1000e");
    give_back(disk, "nvme");
    if (bystander) {
      end_bystander();
    }
    for (const auto each : domains) {
      CHECK(persist([&] { return guest_status(each).domain == 0; })); // its actor may wait for xenstored to recover
      check_forgotten(each);
    }
    CHECK(all->journal->flush()); // a record that could not be removed goes with the next that is written
    CHECK(kept->names()->empty());
    CHECK(host.guards().guarded().empty());
  }
  void work() {
    expect(persist([&] { return guest->disable(first_slot).good() || !has_interrupts(); }));
    expect(persist([&] { return guest->enable_msi(first_slot).good(); }));
    expect(host.xen().raise(nic, 0));
    expect(persist([&] { return guest->disable(first_slot).good() || !has_interrupts(); }));
    driver card(*guest, first_slot);
    expect(persist([&] { // one that got less than it wanted is loaded again
      card.remove();
      return card.probe(3).has_value() && card.kind() == driver::interrupt_kind::msix;
    }));
    expect(host.xen().raise(nic, 2));
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
    expect(persist([&] {
      if (function(disk).state == function_state::inherited) { // its attach began under another daemon, and was refused
        plug(false);
      }
      hold_again_unless_leased();
      return plug(true);
    }));
    expect(persist([&] { return guest->read(second_slot, 0, 4).good(); }));
    expect(persist([&] { return plug(false); }));
  }
  void hold_again_unless_leased() {
    if (!function(disk).domain) {
      expect(is_held_again(disk)); // unless Xen has it with a guest, of which no record tells any more
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

  std::shared_ptr<platform::records> kept; ///< the journal's
  static constexpr auto third = pci::make_sbdf(0, 0, 5, 0);
  std::vector<domain_id> domains;
  domain_id bystands = 0;
  std::unique_ptr<frontend> bystander;
  bool bystander_is_served = false;
  bool forgets_guests = false;
  others goes_on = others::everybody;
  bool in_guests_thread = false;
  std::uint64_t served_meanwhile = 0, not_served_meanwhile = 0; ///< operations of the bystander
  std::optional<kept_words> words;                              ///< of the last one that was killed
  bool replacing = false;
  std::optional<std::chrono::nanoseconds> xenstored_is_back; ///< when; empty: it is there
  std::size_t plug_begins = 0;                               ///< so many calls into its life
  std::uint64_t timeouts = 0;                                ///< of all guests
};

} // namespace test
