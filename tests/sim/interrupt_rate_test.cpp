// SPDX-License-Identifier: GPL-2.0-or-later
// A guest that does nothing but switch its interrupts on and off, and what its frontend says of itself.
#include <algorithm>

#include "logged_text.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using pci::op_code;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct connected : two_cards {
  explicit connected(actors::settings settings = {}) : two_cards(std::move(settings)) {
    REQUIRE(hold(nic));
    domain = boot("guest", {nic});
    guest = std::make_unique<frontend>(host, domain, *this);
    REQUIRE(guest->connect());
    REQUIRE(guest->write(first_slot, 4, 2, pci::reg::command_memory | pci::reg::command_master).good());
  }
  domain_id domain = 0;
  std::unique_ptr<frontend> guest;
  /// Of a guest with an operation that is put off.
  void check_its_ends() {
    SUBCASE("the guest dies") {
      host.toolstack_destroy(domain);
      run();
      check_clean(nic);
      check_forgotten(domain);
    }
    SUBCASE("the function is drained") {
      CHECK(drain(nic));
      check_clean(nic);
      advance(1s);
      CHECK(holding_pirqs(domain) == 0);
    }
  }
};

actors::settings slow() {
  actors::settings settings;
  settings.interrupt_rate = 5;
  return settings;
}

struct slowly_connected : connected {
  slowly_connected() : connected(slow()) {}
};

actors::settings few_accesses() {
  actors::settings settings;
  settings.access_rate = 100;
  return settings;
}

struct slowly_read : connected {
  slowly_read() : connected(few_accesses()) {}
  /// Reads as fast as it is answered, half of it where there is nothing. The longest time that one took.
  std::chrono::nanoseconds read_for(std::chrono::nanoseconds time, unsigned& reads) {
    std::chrono::nanoseconds longest{0};
    for (const auto end = host.time().now() + time; host.time().now() < end; ++reads) {
      const auto before = host.time().now();
      (void)guest->read(reads % 2 == 0 ? first_slot : second_slot, 0, 4);
      longest = std::max(longest, host.time().now() - before);
    }
    return longest;
  }
};

} // namespace

TEST_CASE_FIXTURE(connected, "interrupt operations: a guest that works well never waits") {
  const auto begin = host.time().now();
  for (int loads = 0; loads < 10; ++loads) { // a driver that is loaded again and again
    REQUIRE(driver(*guest, first_slot).probe(3));
    REQUIRE(guest->disable(first_slot).good());
  }
  CHECK(host.time().now() == begin);
  CHECK(guest_status(domain).interrupt_operations >= 20);
  CHECK(guest_status(domain).delayed == 0);
}

TEST_CASE_FIXTURE(connected,
                  "interrupt operations: as fast as it can they are put off, and none so long that it fails") {
  const auto begin = host.time().now();
  std::chrono::nanoseconds longest{0};
  constexpr int rounds = 500;
  for (int i = 0; i < rounds; ++i) {
    const auto before = host.time().now();
    REQUIRE(guest->perform(guest->make(op_code::enable_msi, first_slot)).good());
    REQUIRE(guest->perform(guest->make(op_code::disable_msi, first_slot)).good());
    longest = std::max(longest, host.time().now() - before);
  }
  CHECK(guest->timeouts() == 0);
  CHECK(longest < 200ms);
  CHECK(host.time().now() - begin >= 34s);
  const auto seen = guest_status(domain);
  CHECK(seen.interrupt_operations == 2 * rounds);
  CHECK(seen.delayed <= 2 * rounds - 100);
  CHECK(seen.delayed >= 2 * rounds - 120);
  const auto reading = host.time().now();
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(guest->read(first_slot, 0, 4).good());
  }
  CHECK(host.time().now() == reading); // what else it does is not put off
}

TEST_CASE_FIXTURE(slowly_connected, "interrupt operations: many vectors count for more, at the lowest rate too") {
  std::chrono::nanoseconds longest{0};
  for (int i = 0; i < 300; ++i) {
    const auto before = host.time().now();
    auto what = guest->make(op_code::enable_msix, first_slot);
    what.value = 128; // more than it has
    (void)guest->perform(what);
    longest = std::max(longest, host.time().now() - before);
  }
  CHECK(guest->timeouts() == 0);
  CHECK(longest >= 400ms);
  CHECK(longest < 1s);
}

TEST_CASE_FIXTURE(connected, "accesses: a guest that works well never waits") {
  const auto begin = host.time().now();
  for (int loads = 0; loads < 40; ++loads) { // the largest bus that there can be: functions in all places, and drivers
    for (int offset = 0; offset < 256; offset += 4) {
      for (int function = 0; function < 32; ++function) {
        (void)guest->read(first_slot, offset, 4);
      }
    }
  }
  CHECK(host.time().now() == begin);
  CHECK(guest_status(domain).operations > 80000);
  CHECK(guest_status(domain).delayed_accesses == 0);
}

TEST_CASE_FIXTURE(slowly_read,
                  "accesses: as fast as it can, it gets its rate, and no answer takes so long that it fails") {
  unsigned reads = 0;
  (void)read_for(20s, reads); // what may be done at once, and the rests that grow
  reads = 0;
  const auto longest = read_for(60s, reads);
  CHECK(reads >= 5900);
  CHECK(reads <= 6100);
  CHECK(longest >= 60ms);
  CHECK(longest <= 70ms);
  CHECK(guest->timeouts() == 0);
  const auto seen = guest_status(domain);
  CHECK(seen.access_rate == 100);
  CHECK(seen.interrupt_rate == 25);
  CHECK(seen.delayed_accesses >= 60 * 1000 / 70);
  CHECK(seen.delayed == 0);
  // Its interrupts have a budget of their own. Of accesses it would get no more than a few at once by now.
  const auto begin = host.time().now();
  for (int i = 0; i < 25; ++i) {
    REQUIRE(guest->perform(guest->make(op_code::enable_msi, first_slot)).good());
    REQUIRE(guest->perform(guest->make(op_code::disable_msi, first_slot)).good());
  }
  CHECK(host.time().now() == begin);
}

TEST_CASE_FIXTURE(slowly_read, "accesses: leaving and coming again is no new budget, and no other guest's is touched") {
  REQUIRE(hold(disk));
  const auto peaceful = boot("peaceful", {disk});
  frontend other(host, peaceful, *this);
  REQUIRE(other.connect());
  unsigned reads = 0;
  (void)read_for(10s, reads);
  REQUIRE(guest->reconnect());
  reads = 0;
  (void)read_for(10s, reads);
  CHECK(reads <= 1100);
  const auto begin = host.time().now();
  for (int i = 0; i < 100; ++i) {
    CHECK(other.read(first_slot, 0, 4).good());
  }
  CHECK(host.time().now() == begin);
  CHECK(guest_status(peaceful).delayed_accesses == 0);
}

TEST_CASE_FIXTURE(slowly_read, "accesses: a guest dies, and a function is drained, while one is put off") {
  unsigned reads = 0;
  (void)read_for(10s, reads);
  const auto is_put_off = [this] { return (guest->flags() & pci::wire::frontend_active) != 0; };
  for (int i = 0; i < 20 && !is_put_off(); ++i) {
    guest->post(guest->make(op_code::conf_read, first_slot));
    guest->kick();
    run();
  }
  REQUIRE(is_put_off());
  check_its_ends();
}

TEST_CASE_FIXTURE(connected, "interrupt operations: the function goes, and the page closes, while one is put off") {
  for (int i = 0; i < 100; ++i) {
    REQUIRE(guest->perform(guest->make(op_code::disable_msi, first_slot)).good());
  }
  auto what = guest->make(op_code::enable_msi, first_slot);
  guest->post(what);
  guest->set_flags(pci::wire::frontend_active);
  guest->kick();
  run();
  CHECK((guest->flags() & pci::wire::frontend_active) != 0);
  check_its_ends();
}

TEST_CASE_FIXTURE(connected, "a guest that is out of vectors: the log names what it has, the limit and Xen's option") {
  // 32 for all its functions; the other one's driver took 30.
  for (int i = 0; i < 30; ++i) {
    REQUIRE(host.xen().map_msi(domain, nic));
  }
  const logged_text log;
  REQUIRE_FALSE(guest->enable_msix(first_slot, {0, 1, 2}).good());
  CHECK(log.has("the guest has 2 vectors of this function by now and 0 of others, and Xen gives a guest 32; "
                "extra_guest_irqs=64 on Xen's command line"));
  CHECK(holding_pirqs(domain) == 30);
}

TEST_CASE_FIXTURE(connected, "what the frontend says of itself is shown, bounded and printable") {
  CHECK(guest_status(domain).frontend_error.empty());
  auto& own = host.store_daemon().for_domain(domain);
  const auto path = fmt::format("/local/domain/{}/error/device/pci/0/error", domain);
  REQUIRE(own.write(path, "5 \x1b[31mno\n" + std::string(1000, 'x')));
  REQUIRE(own.write(platform::sim::frontend_path(domain) + "/state", "5"));
  run();
  const auto shown = guest_status(domain).frontend_error;
  CHECK(shown.substr(0, 10) == "5 ?[31mno?");
  CHECK(shown.size() == 200);
}

TEST_SUITE_END();
