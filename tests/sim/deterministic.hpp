// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include "actors/domain/guest_server.hpp"
#include "actors/environment.hpp"
#include "actors/jobs.hpp"
#include "actors/pump/pump.hpp"
#include "actors/root/root.hpp"
#include "messages/errors.hpp"
#include "platform/sim/frontend.hpp"
#include "platform/sim/host.hpp"

namespace test {

/// The whole daemon and a simulated host in one thread: nothing runs but what a test lets run, and time passes only
/// while somebody waits. Each test sees the same messages in the same order, whatever the machine does meanwhile.
class deterministic_daemon : public platform::sim::waiter {
public:
  explicit deterministic_daemon(actors::settings settings = {})
      : system(configure(configuration)),
        scheduler(dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler())), self(system, true) {
    scheduler.clock().current_time += std::chrono::hours(1);
    store_worker = system.spawn(actors::worker, "xenstore");
    all = std::make_shared<actors::environment>(
        actors::environment{host, std::move(settings), events, store_worker, false});
    start_root();
  }
  ~deterministic_daemon() override {
    stop_daemon();
    caf::anon_send_exit(store_worker, caf::exit_reason::user_shutdown);
    run();
    advance(std::chrono::seconds(1)); // who waits to look again sees that the daemon has ended
  }

  /// Runs everything that can run without time passing.
  void run() {
    while (step()) {
    }
  }
  /// One message, one guest's event, or the interrupts of shared lines. False: there is none.
  virtual bool step() { return scheduler.try_run_once() || all->servers->step() || host.deliver_lines(); }
  void advance(std::chrono::nanoseconds by) {
    host.time().advance(by);
    scheduler.advance_time(by);
    run();
  }
  bool wait_until(const std::function<bool()>& condition, std::chrono::nanoseconds limit) override {
    constexpr auto tick = std::chrono::milliseconds(5);
    for (auto left = limit;;) {
      if (condition()) {
        return true;
      }
      if (step()) {
        continue;
      }
      if (left <= std::chrono::nanoseconds(0)) {
        return false;
      }
      advance(tick);
      left -= tick;
    }
  }

  /// Asks an actor and runs the world until it answers; ETIMEDOUT after a minute of simulated time.
  template <class T, class Handle, class... Arguments>
  pci::result<T> ask(const Handle& whom, Arguments&&... arguments) {
    auto answered = std::make_shared<bool>(false);
    auto answer = std::make_shared<pci::result<T>>(pci::fail(ETIMEDOUT, "no answer"));
    // One for each question: an answer that comes too late must not be taken for the next one's.
    caf::scoped_actor asker(system, true);
    auto pending = asker->request(whom, caf::infinite, std::forward<Arguments>(arguments)...);
    wait_until([&] { return asker->has_next_message(); }, std::chrono::minutes(2));
    if (!asker->has_next_message()) {
      return *answer;
    }
    if constexpr (std::is_void_v<T>) {
      pending.receive([&] { *answer = {}; }, [&](caf::error& error) { *answer = failed<T>(error); });
    } else {
      pending.receive([&](const T& value) { *answer = value; }, [&](caf::error& error) { *answer = failed<T>(error); });
    }
    return *answer;
  }

  /// Likewise for the actor of a held function, which root knows.
  template <class T, class... Arguments>
  pci::result<T> ask_device(const pci::sbdf& address, Arguments&&... arguments) {
    return ask<messages::device_actor>(root, messages::find_atom_v, address)
        .and_then([&](const messages::device_actor& device) {
          return ask<T>(device, std::forward<Arguments>(arguments)...);
        });
  }

  pci::result<void> hold(const pci::sbdf& address, bool seize = true) {
    return ask<void>(root, messages::hold_atom_v, address, seize);
  }
  pci::result<void> release(const pci::sbdf& address) {
    return ask<void>(root, messages::release_atom_v, address, true);
  }
  /// The guest that an administrator means.
  pci::result<messages::domain_id> find_guest(const std::string& name) {
    return ask<messages::domain_id>(root, messages::find_atom_v, messages::domain_name{name});
  }
  pci::result<pci::sbdf> attach(const std::string& domain, const pci::sbdf& address) {
    return find_guest(domain).and_then(
        [&](messages::domain_id id) { return ask<pci::sbdf>(root, messages::attach_atom_v, id, address); });
  }
  pci::result<void> detach(const std::string& domain, const pci::sbdf& address) {
    return find_guest(domain).and_then(
        [&](messages::domain_id id) { return ask<void>(root, messages::detach_atom_v, id, address); });
  }
  messages::overview status() { return ask<messages::overview>(root, messages::status_atom_v).value(); }
  messages::function_status function(const pci::sbdf& address) {
    for (const auto& each : status().functions) {
      if (each.address == address) {
        return each;
      }
    }
    return {};
  }
  /// Lets time pass until the function is clean and free again.
  bool wait_until_held(const pci::sbdf& address) {
    for (int tries = 0; tries < 200; ++tries) {
      if (function(address).state == messages::function_state::held) {
        return true;
      }
      advance(std::chrono::milliseconds(50));
    }
    return false;
  }

  void start_root() {
    root = system.spawn(actors::root, actors::environment_ptr(all));
    events.set_root(root);
    [[maybe_unused]] const auto started = host.start(events);
    [[maybe_unused]] const auto watched = actors::pump::watch(host.xenstore());
    run();
  }
  void stop_daemon() {
    host.stop();
    caf::anon_send(root, messages::stop_atom_v);
    run();
    root = messages::root_actor{};
    events.set_root(root);
  }

  platform::sim::host host;
  actors::pump events;
  caf::actor_system_config configuration;
  caf::actor_system system;
  caf::scheduler::test_coordinator& scheduler;
  caf::scoped_actor self;
  messages::worker_actor store_worker;
  std::shared_ptr<actors::environment> all;
  messages::root_actor root;

private:
  static caf::actor_system_config& configure(caf::actor_system_config& configuration) {
    configuration.set("scheduler.policy", caf::atom("testing"));
    return configuration;
  }
  template <class T>
  static pci::result<T> failed(const caf::error& error) {
    return tl::unexpected(messages::to_failure(error, "no answer"));
  }
};

} // namespace test
