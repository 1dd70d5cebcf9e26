// SPDX-License-Identifier: GPL-2.0-or-later
// The state machines and limits of pci/, each with any sequence of events: what they promise holds after each.
#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "fuzz/support/input.hpp"
#include "pci/access_budget.hpp"
#include "pci/busy_poll.hpp"
#include "pci/interrupts/intx_line.hpp"
#include "pci/interrupts/spurious_watch.hpp"
#include "pci/interrupts/storm_limiter.hpp"
#include "pci/pacer.hpp"
#include "pci/protocol/aer.hpp"
#include "pci/protocol/function_life.hpp"
#include "pci/protocol/removal_guard.hpp"
#include "pci/protocol/reset.hpp"
#include "pci/protocol/scrub.hpp"
#include "pci/rate_limit.hpp"

using namespace pci;

namespace {

using fuzz::require;
using namespace std::chrono_literals;
using time_span = std::chrono::nanoseconds;

fuzz::account events{"events of state machines"};

void live(fuzz::input& in) {
  function_life life;
  for (unsigned left = 64; left > 0 && !in.empty(); --left) {
    const auto what = static_cast<function_life::event>(in.below(function_life::events));
    const auto expected = life.answer(what);
    const auto due = life.on(what);
    require(std::ranges::equal(due, expected), "an event is answered as was said before");
    require(!due.contains(function_life::effect::refuse) || !due.contains(function_life::effect::begin),
            "what is refused is not begun");
    require(!to_string(life.now()).empty() && !to_string(life.hardware()).empty() && !to_string(what).empty(),
            "what there is has a name");
    require(!life.removed() || life.hardware() != function_life::presence::there, "what was removed is not there");
    events.add();
  }
}

recovery_step happen(recovery& machine, fuzz::input& in) {
  const auto choice = in.byte();
  switch (choice % 6) {
  case 0:
    return machine.error(
        (choice & 0x40) != 0 ? channel_state::frozen : channel_state::normal,
        {.connected = (choice & 0x80) == 0, .has_handler = (choice & 0x10) == 0, .in_use = (choice & 0x20) == 0});
  case 1:
    return machine.host_ended();
  case 2:
    return machine.answered(in.once_in(8) ? in.take<std::int32_t>() : static_cast<std::int32_t>(in.below(8)));
  case 3:
    return machine.timed_out();
  case 4:
    return machine.restored((choice & 0xc0) != 0);
  default:
    return machine.disconnected();
  }
}

void recover(fuzz::input& in) {
  recovery machine;
  for (unsigned left = 64; left > 0 && !in.empty(); --left) {
    const auto step = happen(machine, in);
    const bool over = step.what == recovery_step::kind::recovered || step.what == recovery_step::kind::failed;
    require(!over || machine.current() == recovery::state::idle, "a recovery that is over is over");
    require(!to_string(step.why).empty() && !to_string(step.state).empty(), "what is told has a name");
    const auto saved = machine.saved();
    require(saved >> recovery::saved_bits == 0, "a recovery is kept in its bits");
    const auto next = recovery::from(saved);
    require((saved == 0) == (machine.current() == recovery::state::idle), "nothing is kept of what is over");
    require(saved == 0 || (next && next->saved() == saved && next->current() == machine.current() &&
                           next->repeated() == machine.repeated()),
            "the next daemon goes on where this one ended");
    events.add();
  }
  static_cast<void>(recovery::from(in.take<std::uint32_t>()));
}

removal_guard::outcome happen(removal_guard& guard, fuzz::input& in, removal_guard::sight& seen) {
  switch (in.below(7)) {
  case 0:
    return guard.arm();
  case 1:
    return guard.release();
  case 2:
    return guard.entered();
  case 3:
    return guard.ended(static_cast<int>(in.below(3)));
  case 4:
    return guard.suspend();
  case 5:
    return guard.resume();
  default:
    seen.now += std::chrono::seconds(in.byte());
    seen.unwatched = in.flag() ? 0ms : std::chrono::milliseconds(std::chrono::seconds(in.byte()));
    seen.going = in.flag();
    seen.spinning = in.flag();
    return guard.look(seen);
  }
}

void guard(fuzz::input& in) {
  removal_guard one;
  removal_guard::sight seen;
  using phase = removal_guard::phase;
  for (unsigned left = 64; left > 0 && !in.empty(); --left) {
    const bool waited = one.waits();
    const auto done = happen(one, in, seen);
    require(done.what != removal_guard::effect::read || one.now() == phase::entering, "a read that is begun enters");
    require(done.what != removal_guard::effect::fill || one.now() == phase::leaving, "one that is let go leaves");
    if (done.tell == guard_news::kind::let_go)
      require(waited && seen.unwatched >= removal_guard::least_grace, "a removal is let go when nobody watches");
    require(one.settled() == (one.now() == phase::open || one.now() == phase::inside), "what settles is settled");
    static_cast<void>(one.account());
    events.add();
  }
}

void clean(fuzz::input& in) {
  scrub one;
  for (unsigned tries = 1; tries < 4; ++tries) {
    unsigned steps = 0;
    bool failed = false;
    while (!one.finished()) {
      require(!to_string(one.current()).empty() && ++steps <= 16, "a scrub ends");
      const bool good = in.below(8) != 7;
      failed = failed || !good;
      one.advance(good);
      events.add();
    }
    require((one.current() == scrub_step::failed) == failed && one.first_failure().has_value() == failed,
            "one failed step is a failed scrub");
    static_cast<void>(wait_before_retry(tries));
    one = one.again();
  }
}

/// The time goes on; a guest that rests as it is told does no more than it may.
void keep_to_limits(fuzz::input& in) {
  constexpr unsigned rate = 1000;
  access_budget budget(rate);
  pacer pace(25, 100, 500ms);
  rate_limit lines(5, 12s);
  time_span now{0}, rested{0};
  unsigned long accesses = 0, written = 0;
  for (unsigned left = 512; left > 0 && !in.empty(); --left) {
    const auto choice = in.byte();
    now += std::chrono::microseconds(choice < 0xf0 ? choice : choice * 10000U);
    const auto rest = budget.take(now + rested);
    require(rest >= 0ns && rest <= access_budget::longest, "no rest is longer than the longest");
    rested += rest;
    ++accesses;
    require(accesses * (1s / rate) <= now + rested + access_budget::saved + access_budget::longest,
            "a guest does no more than its rate and what it has saved");
    const auto pause = pace.take(now, 1 + (choice & 3));
    require(pause >= 0ns && pause <= 500ms, "no pause is longer than the longest");
    written += lines.allow(now) ? 1 : 0;
    require(written <= 6 + static_cast<unsigned long>(now / 12s), "no more lines than there may be");
    events.add();
  }
}

void poll(fuzz::input& in) {
  busy_poll one({.longest = 50us, .share = 5});
  time_span now{0}, spent{0};
  for (unsigned left = 512; left > 0 && !in.empty(); --left) {
    const auto choice = in.byte();
    one.woken(std::chrono::microseconds(8 * choice));
    now += std::chrono::microseconds(choice);
    const auto window = one.window(now);
    require(window >= 0ns && window <= 50us, "a look is no longer than the longest");
    if (window > 0ns) {
      spent += window;
      one.polled(window, (choice & 1) != 0);
      now += window;
    }
    require(spent * 20 <= now + busy_poll::savings * 20 + 1ms, "looking takes no more than its share");
    events.add();
  }
}

void storm(fuzz::input& in) {
  storm_limiter limiter(in.take<std::uint16_t>());
  spurious_watch watch;
  line_counts counts;
  time_span now{0};
  std::uint64_t before = 0;
  for (unsigned left = 256; left > 0 && !in.empty(); --left) {
    const auto choice = in.byte();
    now += std::chrono::microseconds(choice < 0xe0 ? choice : choice * 1000U);
    const auto pause = limiter.pass(now);
    require(pause >= 0ns && pause <= storm_limiter::longest_pause && limiter.left(now) <= storm_limiter::longest_pause,
            "no pause is longer than the longest");
    require(pause == 0ns || (limiter.storming(now) && limiter.storms() > 0), "a pause is a storm's");
    counts.count = choice == 0xff ? in.byte() : counts.count + in.take<std::uint16_t>();
    // The kernel counts in 32 bits (irqs_unhandled of struct irq_desc).
    counts.unhandled = choice == 0xfe ? in.take<std::uint32_t>() : counts.unhandled + in.take<std::uint16_t>();
    static_cast<void>(watch.sample(counts));
    require(watch.spurious() >= before && !to_string(watch.danger()).empty(), "what was unclaimed stays counted");
    before = watch.spurious();
    events.add();
  }
}

line_facts draw_facts(fuzz::input& in) {
  line_facts facts;
  const auto choice = in.byte();
  facts.gsi = in.below(3);
  facts.level = (choice & 1) != 0;
  facts.dom0_handlers = choice >> 1 & 3;
  facts.functions = 1 + (choice >> 3 & 3);
  facts.domains_share = (choice & 0x20) != 0;
  facts.bridge = (choice & 0xc0) == 0xc0;
  facts.guests = 1 + (choice >> 6 & 1);
  return facts;
}

void line(fuzz::input& in) {
  intx_acknowledgement one;
  one.begin(draw_facts(in), static_cast<line_policy>(in.below(3)));
  for (unsigned left = 64; left > 0 && !in.empty(); --left) {
    const auto choice = in.byte();
    one.set_enabled((choice & 1) != 0);
    one.set_handler((choice & 2) != 0);
    const bool messages = (choice & 4) != 0;
    if ((choice & 0x18) == 0)
      static_cast<void>(one.update(draw_facts(in)));
    const auto plan = one.plan(messages);
    require(!to_string(plan.decision).empty() && (plan.handler || !plan.unmask), "who unmasks has a handler");
    require(!plan.handler || (one.facts().gsi != 0 && one.facts().level && !one.facts().bridge),
            "a handler is for a level line of no bridge");
    const auto verdict = one.interrupt(messages);
    require(!verdict.unmask || one.lets_through(messages), "what is let through may be");
    events.add();
  }
  one.end();
  require(!one.leased(), "what has ended has ended");
}

void judge_resets(fuzz::input& in) {
  std::vector<occupancy> hit;
  for (unsigned left = in.below(6); left > 0; --left)
    hit.push_back(static_cast<occupancy>(in.below(4)));
  const auto verdict = judge(hit);
  const bool free = std::ranges::all_of(hit, [](occupancy each) { return each >= occupancy::quiet; });
  require((verdict == reset_verdict::permitted) == free, "a reset hits nobody who would mind");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in{{data, size}};
  constexpr std::array machines{live, recover, guard, clean, keep_to_limits, poll, storm, line, judge_resets};
  machines.at(in.below(machines.size()))(in);
  return 0;
}
