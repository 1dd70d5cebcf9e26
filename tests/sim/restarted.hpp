// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "actors/journal/journal.hpp"
#include "actors/xenstore/backend_nodes.hpp"
#include "counted_records.hpp"
#include "kept_words.hpp"
#include "two_cards.hpp"

namespace test {

/// A guest with the network card, and a daemon that is killed and started again.
struct restarted : two_cards {
  restarted() {
    stop_daemon();
    all->journal = std::make_shared<actors::journal>(records);
    start_root();
    REQUIRE(hold(nic));
  }
  void start_guest() {
    domain = boot("guest", {nic});
    guest = std::make_unique<platform::sim::frontend>(host, domain, *this);
    REQUIRE(guest->connect());
    REQUIRE(platform::sim::driver(*guest, first_slot).probe(3));
  }
  /// The daemon is killed: it has no time for a word.
  void kill() {
    host.end_daemon();
    records->dead = true;
    const kept_words words(records->inside());
    stop_daemon();
    words.put_back();
    records->dead = false;
    records->lost.clear();
  }
  void start() {
    all->journal = std::make_shared<actors::journal>(records);
    all->functions = std::make_shared<actors::function_registry>(); // it knows of the one before by the journal only
    start_root();
    CHECK(ask<void>(root, messages::restore_atom_v));
    run();
  }
  actors::function_record record() { return all->journal->find(nic).value(); }
  /// As the word of a domain's end does it.
  void tell_of_backends() {
    caf::anon_send(root, messages::ended_atom_v);
    run();
  }
  /// As runtime::serve does it.
  void serve_guests() {
    const auto backends = actors::list_backends(host.xenstore()).value();
    for (const auto each : backends) {
      caf::anon_send(root, messages::changed_atom_v, each);
    }
    run();
  }
  /// As runtime does it: guests that an earlier daemon served come before the watches, which tell of them again.
  void start_as_runtime() {
    all->journal = std::make_shared<actors::journal>(records);
    all->functions = std::make_shared<actors::function_registry>();
    root = system.spawn(actors::root, actors::environment_ptr(all));
    events.set_root(root);
    REQUIRE(host.start(events));
    caf::anon_send(root, messages::restore_atom_v);
    caf::anon_send(root, messages::adopt_atom_v);
    run();
    REQUIRE(actors::pump::watch(host.xenstore()));
    serve_guests();
  }
  /// Another daemon, at once.
  void replace() {
    kill();
    start();
    serve_guests();
  }
  std::shared_ptr<counted_records> records = std::make_shared<counted_records>();
  domain_id domain = 0;
  std::unique_ptr<platform::sim::frontend> guest;
};

} // namespace test
