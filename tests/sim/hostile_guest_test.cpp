// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest does to the daemon out of malice, and what others see of it.
#include <algorithm>
#include <cstring>
#include <random>

#include "logged_text.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using pci::op_code;
using platform::sim::driver;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

/// The hostile one has the network card, a peaceful one the disk.
struct two_guests : two_cards {
  two_guests() {
    REQUIRE(hold(nic));
    REQUIRE(hold(disk));
    domain = boot("hostile", {nic});
    guest = std::make_unique<frontend>(host, domain, *this);
    other_domain = boot("peaceful", {disk});
    other = std::make_unique<frontend>(host, other_domain, *this);
    REQUIRE(other->connect());
    REQUIRE(driver(*other, first_slot).probe_as_nvme());
  }
  void check_other() {
    CHECK(other->read(first_slot, 0, 2).value == other->functions().front().vendor);
    CHECK(other->timeouts() == 0);
    CHECK(holding_pirqs(other_domain) == 2);
    CHECK(msix_on(disk));
  }
  void check_end() {
    check_other();
    host.toolstack_destroy(domain);
    run();
    check_clean(nic);
    check_forgotten(domain);
    check_other();
  }
  domain_id domain = 0, other_domain = 0;
  std::unique_ptr<frontend> guest, other;
};

} // namespace

TEST_CASE_FIXTURE(two_guests, "a page full of random bytes, many times") {
  REQUIRE(guest->connect());
  std::mt19937 random(4711); // the same bytes each time
  for (int round = 0; round < 3000; ++round) {
    auto& page = guest->page();
    for (auto& byte : page.bytes) {
      byte = static_cast<std::byte>(random());
    }
    auto& op = guest->shared().op;
    // Half of them are nearly right, so that they get further.
    if (round % 2 == 0) {
      op.domain = op.bus = op.devfn = 0;
      op.cmd %= 12;
      op.offset = static_cast<std::int32_t>(static_cast<std::uint32_t>(op.offset) % 300);
      op.size = 1 << (static_cast<std::uint32_t>(op.size) % 3);
    }
    std::array<std::byte, 4096> before{};
    std::memcpy(before.data(), page.bytes.data(), before.size());
    guest->set_flags(pci::wire::frontend_active, pci::wire::backend_active);
    guest->kick();
    run();
    // Those that switch interrupts are put off by now.
    CHECK(wait_until([this] { return (guest->flags() & pci::wire::frontend_active) == 0; }, 1s));
    CHECK(op.err <= 0);
    CHECK(op.err >= -5);
    // Nothing but the answer is written: what stands behind the operation is as it was.
    constexpr auto behind = sizeof(pci::wire::shared_info);
    CHECK(std::memcmp(before.data() + behind, page.bytes.data() + behind, before.size() - behind) == 0);
  }
  check_end();
}

TEST_CASE_FIXTURE(two_guests, "more vectors than the page has room for") {
  REQUIRE(guest->connect());
  CHECK(guest->write(first_slot, 4, 2, 6).good());
  for (const std::uint32_t count : {0xffffffffU, 0x80000000U, 129U, 128U, 0U}) {
    auto what = guest->make(op_code::enable_msix, first_slot);
    what.value = count;
    CHECK(guest->perform(what).error == -5);
    CHECK(holding_pirqs(domain) == 0);
  }
  check_end();
}

TEST_CASE_FIXTURE(two_guests, "a frontend without magic, with a wrong one, and with numbers that are none") {
  struct lie {
    const char* node;
    const char* value; ///< null: the node is missing
    const char* said;
  };
  const auto path = platform::sim::frontend_path(domain) + "/";
  auto& own = host.store_daemon().for_domain(domain);
  for (const auto& each : {lie{"magic", nullptr, "magic"}, lie{"pci-op-ref", nullptr, "pci-op-ref"},
                           lie{"event-channel", nullptr, "event-channel"}, lie{"magic", "8", "magic"},
                           lie{"magic", "", "magic"}, lie{"pci-op-ref", "x", "pci-op-ref"},
                           lie{"event-channel", "-1", "event-channel"}, lie{"pci-op-ref", "4000000", "map"},
                           lie{"event-channel", "77", "bind"}, lie{"pci-op-ref", "4294967296", "pci-op-ref"}}) {
    CAPTURE(each.node);
    CAPTURE((each.value != nullptr ? each.value : "none"));
    frontend liar(host, domain, *this);
    for (const auto& [name, value] : {std::pair{"magic", std::string("7")},
                                      {"pci-op-ref", std::to_string(8)},
                                      {"event-channel", std::to_string(1)}}) {
      REQUIRE(own.write(path + name, value));
    }
    const auto reference = host.grant_table().grant(domain, std::make_shared<platform::sim::guest_page>());
    REQUIRE(own.write(path + "pci-op-ref", std::to_string(reference)));
    const auto port = host.channels().allocate_unbound(domain);
    REQUIRE(own.write(path + "event-channel", std::to_string(port.value_or(0))));
    REQUIRE((each.value != nullptr ? own.write(path + each.node, each.value) : own.remove(path + each.node)));
    REQUIRE(own.write(path + "state", "3"));
    run();
    CHECK(backend(domain, "state") == "5");
    CHECK(error_node(domain).find(each.said) != std::string::npos);
    CHECK(error_node(domain).find_first_not_of("0123456789") == error_node(domain).find(' ')); // as xenbus writes it
    CHECK(host.grant_table().mapped(domain) == 0);
    CHECK(guest_status(domain).connected == false);
    REQUIRE(own.write(path + "state", "6"));
    run();
    REQUIRE(own.write(path + "state", "1"));
    run();
    CHECK(backend(domain, "state") == "3"); // it may try again
  }
  REQUIRE(guest->connect());
  CHECK(guest->read(first_slot, 0, 4).good());
  check_end();
}

TEST_CASE_FIXTURE(two_guests,
                  "XSA-349: a frontend that writes its state all the time is looked at a bounded number of times") {
  REQUIRE(guest->connect());
  for (const auto* flood : {"4", "nonsense"}) {
    const auto before = host.store_daemon().operations();
    for (int i = 0; i < 10000; ++i) {
      REQUIRE(guest->write_node("state", flood));
      if (i % 10 == 0) {
        run();
      }
    }
    const auto reads = host.store_daemon().operations() - before - 10000;
    CHECK(reads < 100 * 40); // 100 looks in a second, and a look is some 20 operations
    advance(2s);
    check_other();
  }
  advance(5s);
  check_end();
}

TEST_CASE_FIXTURE(two_guests,
                  "one that writes its state between any two of the daemon's messages is looked at no more often") {
  REQUIRE(guest->connect());
  using states = std::vector<const char*>;
  for (const auto& flood : {states{"4"}, states{"nonsense"}, states{"5", "6", "1"}}) {
    const auto before = host.store_daemon().operations();
    for (std::size_t i = 0; i < 20000; ++i) {
      REQUIRE(guest->write_node("state", flood[i / 10 % flood.size()]));
      step();
    }
    run();
    const auto operations = host.store_daemon().operations() - before - 20000;
    CHECK(operations < 100 * 60); // a step may follow a look
    check_other();
    advance(2s);
  }
  advance(5s);
  check_end();
}

// It hits the moment: what has just been forgotten connects again.
TEST_CASE_FIXTURE(two_guests, "one that leaves and comes again all the time is looked at and logged no more often") {
  const auto before = host.store_daemon().operations();
  const logged_text lines;
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(guest->write_node("state", "3"));
    run();
    REQUIRE(guest->write_node("state", "nonsense"));
    while (backend(domain, "state") != "6" && step()) {
    }
    REQUIRE(guest->write_node("state", "1"));
    run();
  }
  CHECK(host.store_daemon().operations() - before - 4000 < 100 * 60);
  CHECK(lines.count() <= 12); // five at once from each of the guest's logs
  check_other();
  advance(5s);
  check_end();
}

TEST_CASE_FIXTURE(two_guests, "XSA-332: 10,000 kicks for nothing") {
  REQUIRE(guest->connect());
  const auto before = guest_status(domain).spurious;
  for (int i = 0; i < 10000; ++i) {
    guest->kick();
    run();
  }
  CHECK(guest_status(domain).spurious - before < 5); // no time has passed: the channel stays masked
  check_other();
  for (int i = 0; i < 10000; ++i) {
    guest->kick();
    advance(1ms);
  }
  CHECK(guest_status(domain).spurious - before < 40); // ten seconds: 1, 2, 4 ... 1000 ms
  check_other();
  // An operation is answered all the same, late at most by the pause.
  CHECK(guest->read(first_slot, 0, 4).good());
  CHECK(guest->timeouts() == 0);
  check_end();
}

TEST_CASE_FIXTURE(two_guests, "a guest that floods does not keep another from being served") {
  REQUIRE(guest->connect());
  for (int i = 0; i < 500; ++i) {
    guest->post(guest->make(op_code::conf_read, first_slot));
    guest->kick();
    guest->kick();
    if (i % 25 == 0) {
      check_other();
    }
    step();
  }
  run();
  CHECK((guest->flags() & pci::wire::frontend_active) == 0);
  check_end();
}

TEST_CASE_FIXTURE(two_guests, "an answer that comes after the guest has given up harms no later operation") {
  REQUIRE(guest->connect());
  auto late = guest->make(op_code::conf_read, first_slot);
  late.size = 4;
  for (int steps = 1; steps < 6; ++steps) {
    CAPTURE(steps);
    guest->post(late);
    guest->kick();
    for (int i = 0; i < steps; ++i) {
      step();
    }
    guest->set_flags(0, pci::wire::frontend_active); // gives up, and asks something else at once
    auto next = guest->make(op_code::conf_read, first_slot);
    next.offset = 8;
    next.size = 4;
    const auto answer = guest->perform(next);
    CHECK(answer.good());
    CHECK(answer.value == hardware(nic, 8, 4));
    CHECK_FALSE(answer.timed_out);
  }
  check_end();
}

TEST_CASE_FIXTURE(two_guests, "a guest takes its page and its channel away while it runs") {
  REQUIRE(guest->connect());
  host.channels().close(domain, guest->event_channel());
  guest->post(guest->make(op_code::conf_read, first_slot));
  run();
  CHECK_FALSE(host.grant_table().revoke(domain, guest->grant_reference())); // mapped
  check_end();
}

TEST_SUITE_END();
