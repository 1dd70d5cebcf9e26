// SPDX-License-Identifier: GPL-2.0-or-later
// A connection and what functions know of each other, each used by two threads at once.
#include "two_threads.hpp"

#include <array>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>

#include <doctest/doctest.h>

#include "actors/device/function_registry.hpp"
#include "actors/domain/connection.hpp"

using namespace test;

namespace {

constexpr auto slot_one = pci::sbdf{0, 0, 0x18}, slot_two = pci::sbdf{0, 0, 0x20};
constexpr std::uint32_t card_value = 0x12345678;

// -- a connection

/// What becomes of a guest's page and channel.
struct guest_end {
  alignas(64) std::array<std::byte, pci::wire::page_size> page{};
  std::atomic<std::uint64_t> notified{0};
  std::atomic<bool> unbound{false};
  std::atomic<std::uint64_t> too_late{0}; ///< used when it was unbound

  void use() { too_late += unbound ? 1 : 0; }
  [[nodiscard]] pci::wire::shared_info& info() {
    return *static_cast<pci::wire::shared_info*>(static_cast<void*>(page.data()));
  }
  [[nodiscard]] std::atomic_ref<std::uint32_t> flags() { return std::atomic_ref{info().flags}; }
};

class lent_page final : public platform::mapped_page {
public:
  explicit lent_page(guest_end& guest) : guest_(guest) {}
  [[nodiscard]] void* address() const override { return guest_.page.data(); }

private:
  guest_end& guest_;
};

class counted_channel final : public platform::event_channel {
public:
  explicit counted_channel(guest_end& guest) : guest_(guest) {}
  pci::result<bool> wait() override { return true; }
  void wake() override {}
  void unmask() override { guest_.use(); }
  pci::result<void> notify() override {
    guest_.use();
    ++guest_.notified;
    return {};
  }
  void unbind() override { guest_.unbound = true; }

private:
  guest_end& guest_;
};

/// A function that always reads the same.
class counted_function final : public messages::function_access {
public:
  pci::answer operate(const pci::request& /*what*/) override {
    ++served;
    return {pci::op_error::success, card_value, {}};
  }
  std::atomic<std::uint64_t> served{0};
};

/// A guest that asks and its server, in one thread: of each operation it knows what came of it.
struct asking_guest {
  guest_end& end;
  actors::connection& connected;
  std::uint64_t read = 0, absent = 0, wrong = 0, told_of_answers = 0;
  bool unbound = false;

  void ask() {
    auto& op = end.info().op;
    op.cmd = static_cast<std::uint32_t>(pci::op_code::conf_read);
    op.domain = slot_one.segment;
    op.bus = slot_one.bus;
    op.devfn = slot_one.devfn;
    op.offset = 0;
    op.size = 4;
    op.value = 0;
    end.flags().fetch_or(pci::wire::frontend_active);
  }
  void note(actors::connection::event what) {
    told_of_answers += what == actors::connection::event::answer ? 1 : 0;
    unbound = unbound || what == actors::connection::event::unbound;
  }
  /// Answers a request about an error, if there is one.
  void answer() { end.flags().fetch_and(~pci::wire::backend_active); }
  void round() {
    if (unbound) {
      return;
    }
    ask();
    const auto work = connected.take();
    if (!work) {
      unbound = true;
      return;
    }
    note(connected.serve(work));
    if ((end.flags().load() & pci::wire::frontend_active) != 0) {
      wrong += unbound ? 0 : 1; // not answered
      return;
    }
    const auto& op = end.info().op;
    const bool there = op.err == static_cast<std::int32_t>(pci::op_error::success);
    const bool gone = op.err == static_cast<std::int32_t>(pci::op_error::dev_not_found);
    read += there ? 1 : 0;
    absent += gone ? 1 : 0;
    wrong += (there && op.value == card_value) || gone ? 0 : 1;
    answer();
    note(connected.serve(std::nullopt));
    connected.unmask();
  }
};

// -- what functions know of each other

/// Wakes who waits.
struct bell {
  std::mutex mutex;
  std::condition_variable rung;
  bool on = false;

  void ring() {
    const std::lock_guard lock(mutex);
    on = true;
    rung.notify_all();
  }
  bool wait() {
    std::unique_lock lock(mutex);
    return rung.wait_for(lock, std::chrono::seconds(10), [&] { return std::exchange(on, false); });
  }
};

} // namespace

TEST_CASE("two threads: an operation is answered once, while the guest's actor changes what it sees and asks it") {
  guest_end end;
  actors::connection connected(std::make_unique<lent_page>(end), std::make_unique<counted_channel>(end));
  const auto function = std::make_shared<counted_function>();
  asking_guest guest{end, connected};
  std::uint64_t asked = 0, answered = 0, withdrawn = 0, backwards = 0, answered_twice = 0;
  {
    again_and_again serving([&] { guest.round(); });
    std::uint64_t before = 0;
    again_and_again acting([&] {
      connected.show(slot_one, asked % 2 == 0 ? function : nullptr);
      connected.show(slot_two, function);
      connected.ask(pci::op_code::aer_detected, pci::channel_state::frozen, slot_one);
      ++asked;
      bool is_answered = false;
      for (int looks = 0; looks < 100 && !is_answered; ++looks) {
        is_answered = connected.take_answer().has_value();
        std::this_thread::yield();
      }
      ++(is_answered ? answered : withdrawn);
      connected.withdraw();
      answered_twice += connected.take_answer() ? 1 : 0;
      const auto now = connected.count();
      backwards += now.operations < before ? 1 : 0;
      before = now.operations;
      static_cast<void>(connected.only_words());
    });
    let_them_go_on([&] { return acting.rounds() > 100 && serving.rounds() > 100; });
    acting.finish();
    connected.unbind(); // as at the guest's end: while it is served
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const auto counts = connected.count();
  MESSAGE(counts.operations, " operations, ", asked, " requests, ", answered, " of them answered");
  CHECK(guest.unbound);
  CHECK(guest.wrong == 0);
  CHECK(guest.read > 0);
  CHECK(guest.absent > 0);
  CHECK(counts.operations == guest.read + guest.absent);
  CHECK(counts.late == 0);
  CHECK(counts.absent - guest.absent <= 1); // one was taken and not answered any more
  CHECK(function->served - guest.read <= 1);
  CHECK(asked == answered + withdrawn);
  CHECK(answered > 0);
  CHECK(answered_twice == 0);
  CHECK(guest.told_of_answers <= asked);
  CHECK(backwards == 0);
  CHECK(end.notified == counts.operations + asked);
  CHECK(end.too_late == 0);
  CHECK_FALSE(connected.take());
}

TEST_CASE("two threads: no function is in use while a reset hits it") {
  actors::idle_functions idle;
  std::atomic<int> in_use{0};
  std::atomic<std::uint64_t> hit{0}, refused{0}, resets{0}, seen_reset{0};
  idle.set_idle(slot_one);
  idle.set_idle(slot_two);
  const auto use_for_a_while = [&] {
    if (!idle.use(slot_one)) {
      idle.wait_and_use(slot_one);
    }
    ++in_use;
    std::this_thread::yield();
    --in_use;
    idle.set_idle(slot_one);
    seen_reset += idle.was_reset(slot_one) ? 1 : 0;
  };
  again_and_again using_one(use_for_a_while);
  again_and_again resetting_both([&] {
    actors::idle_functions::loan both(idle, {slot_one, slot_two});
    if (both.verdict() != pci::reset_verdict::permitted) {
      refused += both.blockers() == std::vector{slot_one} ? 1 : 0;
      return;
    }
    hit += in_use != 0 ? 1 : 0;
    std::this_thread::yield();
    hit += in_use != 0 ? 1 : 0;
    both.set_reset();
    ++resets;
  });
  let_them_go_on([&] { return using_one.rounds() > 100 && resets > 100; });
  const auto uses = using_one.finish();
  const auto attempts = resetting_both.finish();
  MESSAGE(uses, " uses, ", resets.load(), " resets");
  CHECK(hit == 0);
  CHECK(resets > 0);
  CHECK(uses > 0);
  CHECK(resets + refused == attempts);
  CHECK(seen_reset <= resets);
}

TEST_CASE("two threads: who waits for a function's reset is waked when the other is quiet, each time") {
  actors::idle_functions idle;
  bell waked;
  std::uint64_t waits = 0, lost = 0;
  again_and_again other_function([&] {
    static_cast<void>(idle.use(slot_two));
    std::this_thread::yield();
    idle.set_idle(slot_two);
  });
  again_and_again waiting([&] {
    static_cast<void>(idle.use(slot_one));
    if (!idle.wait_for(slot_one, {slot_two}, [&] { waked.ring(); })) {
      return; // it is quiet already
    }
    ++waits;
    lost += waked.wait() ? 0 : 1;
    while (idle.resume(slot_one) == actors::idle_functions::resumption::later) {
    }
  });
  let_them_go_on([&] { return other_function.rounds() > 100 && waiting.rounds() > 100; });
  waiting.finish(); // first: the other one wakes it
  other_function.finish();
  MESSAGE(waits, " waits");
  CHECK(waits > 0);
  CHECK(lost == 0);
}

TEST_CASE("two threads: what shares a page is one guest's, and each guest's vectors are counted") {
  actors::function_registry all;
  constexpr std::uint64_t frame = 0xfeb00;
  constexpr messages::domain_id shared_guest = 7;
  std::atomic<int> owner{0};
  std::atomic<std::uint64_t> two_have_it{0}, given{0}, wrong_counts{0};
  const auto compete = [&](int me, const pci::sbdf& mine, const pci::sbdf& theirs) {
    return [&, me, mine, theirs, round = std::size_t{0}]() mutable {
      const auto domain = static_cast<messages::domain_id>(me);
      if (const auto held_up = all.frames.add_alone({domain}, {frame, frame + 1}, mine)) {
        two_have_it += held_up->domain == domain ? 1 : 0; // it is nobody's but the other's
      } else {
        two_have_it += owner.exchange(me) != 0 ? 1 : 0;
        two_have_it += all.frames.others({domain}, frame).empty() ? 0 : 1;
        std::this_thread::yield();
        owner = 0;
        two_have_it += all.frames.remove(domain, frame + 1, mine) ? 1 : 0;
        two_have_it += all.frames.remove(domain, frame, mine) ? 1 : 0;
        ++given;
      }
      all.vectors.set(shared_guest, mine, round % 4);
      wrong_counts += all.vectors.others(shared_guest, mine) > 3 ? 1 : 0;
      wrong_counts += all.vectors.others(shared_guest, theirs) != round % 4 ? 1 : 0;
      ++round;
    };
  };
  again_and_again first(compete(1, slot_one, slot_two));
  again_and_again second(compete(2, slot_two, slot_one));
  let_them_go_on([&] { return given > 100; });
  first.finish();
  second.finish();
  MESSAGE(given.load(), " times it was one's");
  CHECK(given > 0);
  CHECK(two_have_it == 0);
  CHECK(wrong_counts == 0);
  CHECK(all.frames.others({}, frame).empty());
  all.vectors.set(shared_guest, slot_one, 0);
  all.vectors.set(shared_guest, slot_two, 0);
  CHECK(all.vectors.others(shared_guest, slot_one) == 0);
}
