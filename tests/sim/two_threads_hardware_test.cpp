// SPDX-License-Identifier: GPL-2.0-or-later
// A leased function and its interrupt line, each used at once by the thread that serves the guest, by that which hears
// of interrupts, and by the function's actor.
#include "two_threads.hpp"

#include <memory>

#include <doctest/doctest.h>

#include "actors/device/line.hpp"
#include "actors/device/serving.hpp"
#include "actors/pump/pump.hpp"
#include "pci/config_space/registers.hpp"
#include "platform/sim/host.hpp"

using namespace test;

namespace {

const auto raising_card = pci::make_sbdf(0, 0, 3, 0), dom0s_card = pci::make_sbdf(0, 0, 5, 0);
constexpr std::uint32_t card_ids = 0x10d38086;

pci::request access_to(pci::op_code code, std::int32_t offset, std::int32_t size, std::uint32_t value = 0) {
  return {.code = static_cast<std::uint32_t>(code), .offset = offset, .size = size, .value = value, .entries = {}};
}

/// A card that a guest has, on a line that dom0 uses too.
struct leased_hardware {
  leased_hardware() {
    host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), raising_card), "e1000e");
    host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), dom0s_card), "e1000e", true);
    actors::settings settings;
    settings.line_rate = 1000000;
    all = std::make_shared<actors::environment>(
        actors::environment{host, std::move(settings), events, messages::worker_actor{}, true});
    domain = host.create_domain("guest");
    auto taken = actors::hardware::take(*all, raising_card, {}, true);
    REQUIRE(taken);
    device = *taken;
    REQUIRE(device->grant(domain, pci::rdm_policy::strict));
    REQUIRE(device->begin(domain, std::nullopt, {}));
    REQUIRE(host.xen().bind_pirq(domain, static_cast<std::uint32_t>(device->description().irq))); // its driver listens
    log->use(host.time());
    lease = std::make_shared<actors::serving>(device, domain, log);
  }
  [[nodiscard]] bool masked() {
    return (host.xen().config_read(raising_card, 0, pci::reg::command, 2).value_or(0) &
            pci::reg::command_intx_disable) != 0;
  }

  platform::sim::host host{platform::sim::clock::kind::real};
  actors::pump events;
  std::shared_ptr<actors::environment> all;
  messages::domain_id domain = 0;
  std::shared_ptr<actors::hardware> device;
  std::shared_ptr<actors::guest_log> log = std::make_shared<actors::guest_log>();
  std::shared_ptr<actors::serving> lease;
};

/// Has the line take what dom0's handler claims, as the daemon's pump does.
struct line_sink final : platform::event_sink {
  explicit line_sink(actors::line& to) : to(to) {}
  void line_interrupts(std::span<const pci::sbdf> addresses) override {
    for ([[maybe_unused]] const auto& each : addresses) {
      ++told;
      static_cast<void>(to.interrupt());
    }
  }
  void store_changed(const std::string& /*path*/, const std::string& /*token*/) override {}
  void function_removed(const pci::sbdf& /*address*/) override {}
  void function_added(const pci::sbdf& /*address*/) override {}
  void lost(std::string_view /*what*/, const std::string& /*reason*/) override {}

  actors::line& to;
  std::atomic<std::uint64_t> told{0};
};

/// What a function's actor does after a look at its line.
void look_and_follow(leased_hardware& world, actors::line& line) {
  const auto then = line.look();
  if (then.rebind) {
    line.rebound(world.device->rebind(*then.rebind, world.device->guest_number()));
  }
}

} // namespace

TEST_CASE_FIXTURE(leased_hardware,
                  "two threads: what is left to be done with a leased function is done once, and nothing beside it") {
  std::uint64_t asked = 0, good = 0, refused = 0, wrong = 0; // the guest's
  std::atomic<bool> may_be_over{false};
  std::uint64_t uses = 0, alone = 0, done = 0; // with the hardware
  std::uint64_t left = 0, backwards = 0;       // the actor's
  again_and_again guest([&] {
    const bool writes = ++asked % 4 == 0;
    const auto answer = lease->operate(writes ? access_to(pci::op_code::conf_write, pci::reg::command, 2, 6)
                                              : access_to(pci::op_code::conf_read, 0, 4));
    const bool success = answer.error == pci::op_error::success;
    good += success ? 1 : 0;
    refused += answer.error == pci::op_error::op_failed ? 1 : 0;
    const bool right = (success && (writes || answer.value == card_ids)) || answer.error == pci::op_error::op_failed ||
                       (answer.error == pci::op_error::dev_not_found && may_be_over);
    wrong += right ? 0 : 1;
  });
  again_and_again actor([&, before = std::uint64_t{0}]() mutable {
    lease->soon([&](actors::hardware&) {
      ++uses;
      ++done;
    });
    ++left;
    lease->do_waiting();
    lease->exclusively([&](actors::hardware&) {
      ++uses;
      ++alone;
    });
    if (left % 16 == 0) {
      lease->suspend(true);
      lease->await_operation();
      std::this_thread::yield();
      lease->suspend(false);
    }
    const auto now = lease->count();
    backwards += now.operations < before ? 1 : 0;
    before = now.operations;
    backwards += lease->record().function.address == raising_card ? 0 : 1;
    static_cast<void>(lease->is_in_use());
    static_cast<void>(lease->refused_writes());
  });
  let_them_go_on([&] { return guest.rounds() > 100 && actor.rounds() > 100; });
  actor.finish();
  lease->exclusively([](actors::hardware&) {}); // at whose end all is done
  CHECK(lease->exclusively([&](actors::hardware&) { return done; }) == left);
  may_be_over = true;
  lease->end(); // while the guest still asks
  guest.finish();
  MESSAGE(asked, " operations, ", refused, " of them refused, ", left, " tasks");
  CHECK(good > 0);
  CHECK(refused > 0);
  CHECK(left > 0);
  CHECK(uses == done + alone);
  CHECK(backwards == 0);
  CHECK(lease->count().operations == good + refused);
  CHECK(lease->count().refused == refused);
  CHECK(wrong == 0);
  CHECK(lease->operate(access_to(pci::op_code::conf_read, 0, 4)).error == pci::op_error::dev_not_found);
  lease->soon([&](actors::hardware&) { ++done; });
  lease->do_waiting();
  CHECK(done == left);
}

TEST_CASE_FIXTURE(leased_hardware,
                  "two threads: the guest's interrupts come through, while its line is looked at and switched") {
  actors::line line(all, raising_card);
  line_sink sink(line);
  line.begin(lease, pci::line_policy::acknowledge);
  REQUIRE(host.start(sink));
  const std::shared_ptr<void> stop_telling(nullptr, [&](void*) { host.stop(); });
  std::uint64_t raised = 0;
  {
    again_and_again guest([&] { static_cast<void>(lease->operate(access_to(pci::op_code::conf_read, 0, 4))); });
    again_and_again actor([&, rounds = 0U]() mutable {
      if (++rounds % 512 == 0) {
        static_cast<void>(line.set_enabled(rounds % 1024 == 0));
      }
      look_and_follow(*this, line);
      messages::function_status status;
      line.describe(status);
      static_cast<void>(line.enabled());
      static_cast<void>(line.rebinding());
    });
    const auto end = std::chrono::steady_clock::now() + stress_time;
    while (std::chrono::steady_clock::now() < end || actor.rounds() < 2100) {
      host.xen().raise_intx(raising_card);
      host.xen().lower_intx(raising_card);
      ++raised;
    }
  }
  // Whatever came last: with the switch on, nothing stays masked, and the next interrupt comes as well.
  REQUIRE(line.set_enabled(true));
  const auto is_open = [&] {
    look_and_follow(*this, line);
    return device->has_handler() && !host.xen().any_claimed() && !masked();
  };
  CHECK(comes_to_be(is_open));
  messages::function_status before, now;
  line.describe(before);
  CHECK(before.acknowledged > 0);
  CHECK(before.acknowledged <= sink.told);
  host.xen().raise_intx(raising_card);
  host.xen().lower_intx(raising_card);
  CHECK(comes_to_be([&] {
    line.describe(now);
    return now.acknowledged > before.acknowledged && is_open();
  }));
  MESSAGE(raised, " interrupts raised, ", now.acknowledged, " acknowledged");
  host.stop();
  line.end();
  line.describe(now);
  before = now;
  CHECK_FALSE(line.interrupt());
  line.describe(now);
  CHECK(now.acknowledged == before.acknowledged);
}
