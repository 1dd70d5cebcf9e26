// SPDX-License-Identifier: GPL-2.0-or-later
// Guests' lives with a daemon that reaches its host over the sockets between the two processes. With the daemon's
// threads.
#include <atomic>
#include <thread>

#include <caf/scoped_actor.hpp>

#include "actors/runtime.hpp"
#include "two_cards.hpp"
#include "two_processes_support.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using platform::sim::driver;
using platform::sim::frontend;

namespace {

struct two_process_daemon {
  two_process_daemon() {
    host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), nic), "e1000e");
    host.add_function(platform::sim::place(*platform::sim::builtin_model("nvme"), disk), "nvme");
    begin();
  }
  void begin() {
    split = std::make_unique<split_host>(host, journal, own);
    actors::settings settings;
    settings.own(nic).seize = true;
    daemon = std::move(actors::runtime::start(*split->worker, settings, {split->worker->journal()}).value());
    for (const auto& [address, held] : daemon->hold_configured(false)) {
      CAPTURE(pci::to_string(address));
      REQUIRE(held);
    }
    REQUIRE(daemon->serve());
  }
  /// Both processes end without a word, and others take their place.
  void replace() {
    daemon.reset();
    host.end_daemon();
    split.reset();
    begin();
  }
  /// The worker ends without a word, and another takes its place: what the host process has stays.
  void replace_worker() {
    split->server.reset();
    daemon.reset();
    split.reset();
    begin();
  }
  messages::function_status function(const pci::sbdf& address) const {
    messages::function_status found;
    caf::scoped_actor self{daemon->system()};
    self->request(daemon->root(), 10s, messages::status_atom_v)
        .receive(
            [&](const messages::overview& all) {
              for (const auto& each : all.functions) {
                found = each.address == address ? each : found;
              }
            },
            [](caf::error&) { FAIL("no answer"); });
    return found;
  }
  bool comes_to(const pci::sbdf& address, function_state state) const {
    for (int tries = 0; tries < 2000; ++tries) {
      if (function(address).state == state) {
        return true;
      }
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }

  platform::sim::host host{platform::sim::clock::kind::real};
  std::shared_ptr<platform::records> journal = std::make_shared<platform::memory_records>();
  std::shared_ptr<platform::records> own = std::make_shared<platform::memory_records>();
  std::unique_ptr<split_host> split;
  std::unique_ptr<actors::runtime> daemon;
  sim_test::violations violations;
};

/// A guest with its frontend, which goes on serving on a thread of its own where it is told to.
struct threaded_guest {
  threaded_guest(platform::sim::host& where, const std::string& name, const pci::sbdf& function) : host(where) {
    domain = host.create_domain(name);
    REQUIRE(host.toolstack_attach(domain, function, true));
    waits = std::make_unique<platform::sim::threaded_waiter>(*host.bell(domain));
    front = std::make_unique<frontend>(host, domain, *waits);
    REQUIRE(front->connect());
  }
  /// Reacts to the backend until `until` returns.
  template <class Until>
  auto serving(Until until) {
    std::jthread serves([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        front->service();
        std::this_thread::sleep_for(1ms);
      }
    });
    return until();
  }
  platform::sim::host& host;
  platform::domain_id domain = 0;
  std::unique_ptr<platform::sim::threaded_waiter> waits;
  std::unique_ptr<frontend> front;
};

} // namespace

TEST_CASE_FIXTURE(two_process_daemon,
                  "two processes: a guest has a function, interrupts, loses it, dies, and dom0 has it again") {
  CHECK(function(nic).state == function_state::held);
  CHECK(host.pci().driver(nic) == "pci-stub");
  CHECK(host.pci().driver(disk) == "nvme");
  {
    threaded_guest first(host, "first", nic);
    CHECK(function(nic).state == function_state::leased);
    CHECK(first.front->read(first_slot, 0, 4).value == 0x10d38086);
    driver e1000e(*first.front, first_slot);
    REQUIRE(e1000e.probe(3));
    CHECK(e1000e.kind() == driver::interrupt_kind::msix);
    CHECK(host.xen().holdings(first.domain).message_pirqs.size() == 3);
    CHECK(host.xen().raise(nic, 1));
    CHECK(first.front->interrupts(e1000e.pirqs()[1]) == 1);
    e1000e.remove();
    CHECK(host.xen().holdings(first.domain).message_pirqs.empty());
    platform::sim::threaded_waiter toolstack{*host.bell(first.domain)};
    CHECK(first.serving([&] { return host.toolstack_detach(first.domain, nic, toolstack).has_value(); }));
    CHECK(comes_to(nic, function_state::held));
    host.toolstack_destroy(first.domain);
  }
  {
    threaded_guest second(host, "second", nic);
    REQUIRE(driver(*second.front, first_slot).probe(2));
    host.toolstack_destroy(second.domain);
    second.front.reset();
    CHECK(comes_to(nic, function_state::held));
    for (int tries = 0; tries < 500 && host.xen().domain(second.domain); ++tries) {
      std::this_thread::sleep_for(10ms);
    }
    CHECK_FALSE(host.xen().domain(second.domain)); // its page is unmapped
  }
  caf::scoped_actor self{daemon->system()};
  self->request(daemon->root(), 20s, messages::release_atom_v, nic, true)
      .receive([] {}, [](caf::error&) { FAIL("it is not released"); });
  CHECK(host.pci().driver(nic) == "e1000e");
  CHECK(own->names().value() == std::vector<std::string>{"guests"});
  CHECK_MESSAGE(split->refused.empty(), fmt::format("{}", fmt::join(split->refused, "; ")));
  CHECK_MESSAGE(violations.texts.empty(), fmt::format("{}", fmt::join(violations.texts, "; ")));
}

TEST_CASE_FIXTURE(two_process_daemon, "two processes: others take their place, and the guest keeps what it has") {
  threaded_guest guest(host, "guest", nic);
  driver e1000e(*guest.front, first_slot);
  REQUIRE(e1000e.probe(3));
  for (int i = 1; i <= 3; ++i) {
    replace();
    CHECK(comes_to(nic, function_state::leased));
    CHECK(guest.front->read(first_slot, 0, 4).value == 0x10d38086);
    CHECK(host.xen().holdings(guest.domain).message_pirqs.size() == 3);
    CHECK(host.xen().raise(nic, 1));
    CHECK(guest.front->interrupts(e1000e.pirqs()[1]) == static_cast<std::uint64_t>(i));
  }
  e1000e.remove(); // by a daemon that has not seen these begin
  CHECK(host.xen().holdings(guest.domain).message_pirqs.empty());
  host.toolstack_destroy(guest.domain);
  guest.front.reset();
  CHECK(comes_to(nic, function_state::held));
  CHECK_MESSAGE(split->refused.empty(), fmt::format("{}", fmt::join(split->refused, "; ")));
  CHECK_MESSAGE(violations.texts.empty(), fmt::format("{}", fmt::join(violations.texts, "; ")));
}

TEST_CASE_FIXTURE(two_process_daemon, "two processes: the worker alone is another, and the guest keeps what it has") {
  threaded_guest guest(host, "guest", nic);
  driver e1000e(*guest.front, first_slot);
  REQUIRE(e1000e.probe(3));
  for (int i = 1; i <= 3; ++i) {
    replace_worker();
    CHECK(comes_to(nic, function_state::leased));
    CHECK(guest.front->read(first_slot, 0, 4).value == 0x10d38086);
    CHECK(host.xen().holdings(guest.domain).message_pirqs.size() == 3);
    CHECK(host.xen().raise(nic, 1));
    CHECK(guest.front->interrupts(e1000e.pirqs()[1]) == static_cast<std::uint64_t>(i));
  }
  host.toolstack_destroy(guest.domain); // of which the last one hears by watches of its own
  guest.front.reset();
  CHECK(comes_to(nic, function_state::held));
  CHECK_MESSAGE(split->refused.empty(), fmt::format("{}", fmt::join(split->refused, "; ")));
  CHECK_MESSAGE(violations.texts.empty(), fmt::format("{}", fmt::join(violations.texts, "; ")));
}

TEST_CASE_FIXTURE(two_process_daemon, "two processes: pcibackd's own attach and detach") {
  const auto domain = host.create_domain("guest");
  platform::sim::threaded_waiter waits{*host.bell(domain)};
  caf::scoped_actor self{daemon->system()};
  std::atomic<bool> attached{false};
  std::jthread guest([&](const std::stop_token& stop) {
    frontend front(host, domain, waits);
    while (!stop.stop_requested() && !front.start()) {
      std::this_thread::sleep_for(5ms);
    }
    while (!stop.stop_requested()) {
      front.service();
      std::this_thread::sleep_for(1ms);
    }
  });
  self->request(daemon->root(), 30s, messages::attach_atom_v, domain, nic)
      .receive([&](const pci::sbdf&) { attached = true; }, [](caf::error& error) { FAIL(caf::to_string(error)); });
  CHECK(attached);
  self->request(daemon->root(), 30s, messages::detach_atom_v, domain, nic)
      .receive([] {}, [](caf::error& error) { FAIL(caf::to_string(error)); });
  CHECK(comes_to(nic, function_state::held));
  const std::lock_guard lock(split->mutex);
  CHECK_MESSAGE(split->refused.empty(), fmt::format("{}", fmt::join(split->refused, "; ")));
}

TEST_CASE(
    "two processes: what was held is known to the next, also after a daemon of one process, and no other record is") {
  using platform::remote::holdings;
  platform::sim::host host{platform::sim::clock::kind::real};
  host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), nic), "pci-stub");
  host.add_function(platform::sim::place(*platform::sim::builtin_model("nvme"), disk), "pci-stub");
  const auto own = std::make_shared<platform::memory_records>();
  const auto reference = host.pci().describe(nic).value();
  {
    holdings first{host, own};
    CHECK(first.is_first());
    CHECK_FALSE(first.reference(nic));
    first.import(reference);
    CHECK(first.held(nic));
  }
  {
    holdings next{host, own};
    CHECK_FALSE(next.is_first());
    CHECK(next.held(nic).value().config == reference.config);
    CHECK_FALSE(next.held(disk));
  }
  const auto text = own->read(pci::to_string(nic)).value();
  for (const auto& wrong : {std::string("garbage"), std::string{}, text, text.substr(0, text.size() - 1), text + "x"}) {
    REQUIRE(own->write(pci::to_string(disk), wrong)); // `text` is another function's
    CHECK_FALSE(holdings{host, own}.reference(disk));
  }
  holdings last{host, own};
  last.forget(nic);
  CHECK_FALSE(holdings{host, own}.reference(nic));
}
