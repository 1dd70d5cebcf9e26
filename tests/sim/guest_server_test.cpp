// SPDX-License-Identifier: GPL-2.0-or-later
// Which operations are found without their events, and which answers are given without theirs: a server that runs as in
// its thread, with a guest that does its next step whenever the server looks at the clock or waits.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include <caf/scoped_actor.hpp>
#include <doctest/doctest.h>

#include "actors/domain/guest_server.hpp"
#include "actors/runtime.hpp"
#include "pci/protocol/shared_page.hpp"
#include "platform/sim/host.hpp"

using namespace std::chrono_literals;
using pci::late_events;

TEST_SUITE_BEGIN("deterministic");

namespace {

constexpr unsigned asked_in_all = 3000;

enum class habit : std::uint8_t {
  spins, ///< goes on when it sees the answer
  sleeps ///< goes on when it is notified
};

// What the guest and the backend's end of its channel share.
struct guest {
  habit way;
  alignas(4096) std::array<std::byte, pci::wire::page_size> memory{};
  unsigned asked = 0, notified = 0, seen = 0; ///< notifications; `seen`: those that it has gone on after
  bool pending = false, masked = false;

  explicit guest(habit of) : way(of) {}
  pci::wire::shared_info& page() { return *reinterpret_cast<pci::wire::shared_info*>(memory.data()); }
  void step() {
    const bool waits = page().flags != 0 || (way == habit::sleeps && notified == seen && asked > 0);
    if (waits || asked == asked_in_all) {
      return;
    }
    seen = notified;
    ++asked;
    page().op.cmd = static_cast<std::uint32_t>(pci::op_code::conf_read);
    page().op.size = 4;
    page().flags = pci::wire::frontend_active;
    pending = true;
  }
};

class channel final : public platform::event_channel {
public:
  channel(guest& of, std::function<bool()> at_rest) : guest_(&of), at_rest_(std::move(at_rest)) {}
  pci::result<bool> wait() override {
    do {
      guest_->step();
      if (guest_->pending && !guest_->masked) {
        guest_->pending = false;
        guest_->masked = true;
        return true;
      }
    } while (at_rest_());
    return false;
  }
  void wake() override {}
  void unmask() override { guest_->masked = false; }
  pci::result<void> notify() override {
    ++guest_->notified;
    return {};
  }
  void unbind() override {}

private:
  guest* guest_;
  std::function<bool()> at_rest_; ///< whether anything has been done about it
};

class page final : public platform::mapped_page {
public:
  explicit page(guest& of) : guest_(&of) {}
  [[nodiscard]] void* address() const override { return guest_->memory.data(); }

private:
  guest* guest_;
};

// The guest does all its operations. Returns what was counted.
actors::connection::counts serve(guest& it, unsigned processors) {
  platform::sim::host host;
  const auto daemon = actors::runtime::start(host, {}).value();
  caf::scoped_actor owner{daemon->system()};
  std::shared_ptr<actors::connection> connection;
  std::unique_ptr<actors::guest_server> server;
  // With one processor, what it is owed comes at the second look at the latest.
  const auto at_rest = [&] {
    using owed = actors::connection::owed;
    const bool sent = processors == 1 && (connection->send_overdue_event() == owed::sent ||
                                          connection->send_overdue_event() == owed::sent);
    if (!sent) {
      static_cast<void>(server->stop());
    }
    return sent;
  };
  connection = std::make_shared<actors::connection>(std::make_unique<page>(it), std::make_unique<channel>(it, at_rest));
  auto now = 1s + 0ns;
  const auto look = [&] {
    it.step();
    return now += 2us;
  };
  server = std::make_unique<actors::guest_server>(
      connection, caf::actor_cast<messages::domain_actor>(caf::strong_actor_ptr(owner.ptr()->ctrl())), 1,
      std::make_shared<actors::guest_limits>(host.time(), 25, 20000), host.time(), pci::busy_poll::limits{}, look);
  actors::poll_places places(processors);
  actors::owed_events owed;
  const auto kept = connection; // the server lets go of it
  server->run(places, owed);
  CHECK(it.asked == asked_in_all);
  CHECK(kept->count().operations == asked_in_all);
  CHECK_FALSE(kept->owes_event());
  return kept->count();
}

// So many events are sent before the first is left out, and few more: the last answer's is sent always.
constexpr unsigned few = 10;

// Each event that is left out in vain has more sent at once after it, by `growth` times, until they are `most`.
unsigned late_at_most(unsigned growth) {
  unsigned tries = 0, answers = 0;
  for (unsigned wait = late_events::fewest; wait < late_events::most; wait = wait * growth) {
    ++tries;
    answers += wait;
  }
  return tries + (asked_in_all - std::min(answers, asked_in_all)) / late_events::most + 1;
}

} // namespace

TEST_CASE("two processors: a guest that goes on by itself needs no events, in either direction") {
  guest it(habit::spins);
  const auto counted = serve(it, 2);
  CHECK(counted.polled >= asked_in_all - few);
  CHECK(counted.spurious == 0);
  CHECK(it.notified >= 1);
  CHECK(it.notified <= few);
  CHECK(counted.events_late == 1); // the last answer's
}

TEST_CASE("two processors: a guest that sleeps is notified of each answer, and of nearly all at once") {
  guest it(habit::sleeps);
  const auto counted = serve(it, 2);
  CHECK(it.notified == asked_in_all);
  CHECK(counted.events_late >= 1);
  CHECK(counted.events_late <= late_at_most(late_events::gentle_growth));
}

TEST_CASE("one processor: nothing is looked for, and a guest that goes on by itself is not notified") {
  guest it(habit::spins);
  const auto counted = serve(it, 1);
  CHECK(counted.polled == 0);
  CHECK(it.notified >= 1);
  CHECK(it.notified <= few);
  CHECK(counted.events_late == 1);
}

TEST_CASE("one processor: a guest that sleeps is notified of each answer, and of nearly all at once") {
  guest it(habit::sleeps);
  const auto counted = serve(it, 1);
  CHECK(it.notified == asked_in_all);
  CHECK(counted.polled == 0);
  CHECK(counted.events_late >= 1);
  CHECK(counted.events_late <= late_at_most(late_events::steep_growth));
}

TEST_SUITE_END();
