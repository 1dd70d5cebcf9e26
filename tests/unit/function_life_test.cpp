// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/function_life.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "function_life_values.hpp"

using namespace pci;
using test::events;
using test::phases;

namespace {

using life = function_life;
using phase = life::phase;
using event = life::event;
using effect = life::effect;
using presence = life::presence;

const set_of<phase> stranded{phase::stranded, phase::stranded_busy};
const set_of<phase> over{phase::stopped, phase::ended};
const set_of<phase> away = stranded | over | set_of<phase>{phase::gone, phase::gone_busy};
const set_of<phase> idle{phase::fresh,    phase::held,    phase::granted,   phase::leased,
                         phase::retrying, phase::failed,  phase::inherited, phase::awaiting_reset_group,
                         phase::unknown,  phase::gone,    phase::stranded,  phase::failed_awaiting_reset_group,
                         phase::untaken,  phase::stopped, phase::ended};

// -- a life among everybody around it: its jobs, and what a guest has left of the function

enum class job : std::uint8_t { none, take, prepare, grant, lease, reset, scrub, end_guest, removal, withdraw, give };

const std::map<job, set_of<event>> outcomes{{job::none, {}},
                                            {job::take, {event::taken, event::not_taken}},
                                            {job::prepare, {event::prepared}},
                                            {job::grant, {event::granted, event::grant_refused, event::grant_failed}},
                                            {job::lease, {event::lease_begun}},
                                            {job::reset, {event::reset_over}},
                                            {job::scrub,
                                             {event::scrub_clean, event::scrub_failed, event::scrub_retries,
                                              event::scrub_yields, event::scrub_blocked, event::scrub_has_pirqs}},
                                            {job::end_guest, {event::removal_let_go, event::removal_kept}},
                                            {job::removal, {event::removal_let_go, event::removal_kept}},
                                            {job::withdraw, {event::withdrawn, event::not_withdrawn}},
                                            {job::give, {event::given_back, event::not_given_back, event::claimed}}};

bool is_outcome(event what) {
  return std::ranges::any_of(outcomes, [what](const auto& each) { return each.second.contains(what); });
}

struct scene {
  life function;
  job out = job::none;
  bool used = true;        // since it was found clean, by dom0's driver or a guest
  bool interrupts = false; // a guest may have vectors
  bool served = false;     // its operations reach the function
  bool page = false;       // it has a page, which keeps it when it dies
  [[nodiscard]] auto key() const {
    return std::tuple(function.now(), function.hardware(), function.left(), out, used, interrupts, served, page);
  }
};

// Whose job, when it has ended, tells whether the guest still had vectors.
const set_of<phase> tells_at_its_end{phase::letting_go, phase::ending_inherited, phase::ending_reset};

bool can_happen(const scene& now, event what) {
  if (now.function.now() == phase::fresh) // root's first word is one of these
    return set_of{event::hold, event::inherit, event::inherit_unknown, event::stop, event::died}.contains(what);
  if (what == event::removal_kept && now.function.removed() && now.interrupts)
    return false; // hold_lost, then
  if (is_outcome(what))
    return outcomes.at(now.out).contains(what);
  if (what == event::hold_lost)
    return now.interrupts && now.function.hardware() != presence::there;
  if (what == event::removed_in_use)
    return now.interrupts;
  return what != event::page_unmapped || now.page;
}

job begun_by(event what, phase before) {
  switch (what) {
  case event::hold:
    return job::take;
  case event::prepare:
    return job::prepare;
  case event::grant:
    return job::grant;
  case event::lease:
    return job::lease;
  case event::reset:
    return job::reset;
  case event::release:
    return before == phase::failed || before == phase::failed_awaiting_reset_group ? job::withdraw : job::give;
  case event::withdrawn:
    return job::give;
  default: // what is done at once
    return job::none;
  }
}

job begun_by(effect what, event on, phase before) {
  switch (what) {
  case effect::begin:
    return begun_by(on, before);
  case effect::take:
    return job::take;
  case effect::scrub:
    return job::scrub;
  case effect::let_removal_go:
    return job::removal;
  case effect::end_inherited:
    return job::end_guest;
  default:
    return job::none;
  }
}

const set_of<effect> touches{effect::take,           effect::end_guest,     effect::await_page, effect::scrub,
                             effect::let_removal_go, effect::end_inherited, effect::begin,      effect::end_serving};
// Who asks for one of these is answered at once, or when it has come to an end.
const set_of<event> wishes{event::hold,  event::grant,   event::revoke, event::lease,
                           event::reset, event::release, event::retry,  event::adopt};
const set_of<effect> answers{effect::refuse, effect::wait, effect::agree, effect::begin, effect::end};

// What an effect may be done to.
void check(const scene& now, effect what, event on, phase before) {
  const auto started = begun_by(what, on, before);
  CHECK((started == job::none || now.out == job::none)); // one job has the hardware
  const bool removed = now.function.removed();
  switch (what) {
  case effect::begin:
    if (started == job::grant || started == job::lease) { // nobody gets what is not clean
      CHECK((!now.used || before == phase::granted));
      CHECK(now.function.hardware() == presence::there);
    }
    CHECK((started == job::none || started == job::give || !removed));
    if (started == job::give)
      CHECK((before == phase::held ? !now.used : before == phase::withdrawing || before == phase::untaken));
    break;
  case effect::end_guest: // a job would be doing something else to it, or the guest
    CHECK(now.out == job::none);
    CHECK((!now.served || on == event::died));
    break;
  case effect::scrub: // Xen would touch the function when it frees the dead guest: not after the reset
    CHECK_FALSE(now.page);
    CHECK_FALSE(now.interrupts);
    break;
  case effect::let_removal_go:
    CHECK_FALSE(now.interrupts); // it would stop the host
    CHECK_FALSE(now.served);
    CHECK_FALSE(removed);
    break;
  case effect::end_inherited:
    CHECK_FALSE(removed);
    break;
  case effect::take:
    CHECK_FALSE(removed);
    break;
  case effect::note_clean:
    CHECK(on == event::scrub_clean);
    CHECK_FALSE(now.interrupts);
    CHECK_FALSE(now.page);
    break;
  case effect::note_let_go:
    CHECK_FALSE(now.interrupts);
    break;
  case effect::pause_guest:
    CHECK(now.interrupts);
    break;
  default:
    break;
  }
}

void apply(scene& now, effect what, event on, phase before) {
  const auto started = begun_by(what, on, before);
  if (started != job::none)
    now.out = started;
  switch (what) {
  case effect::begin:
    now.used = now.used || started == job::grant || started == job::lease;
    now.served = now.served || on == event::lease_begun || on == event::adopt;
    now.page = now.page || on == event::lease_begun || on == event::adopt;
    now.interrupts = now.interrupts || started == job::grant || started == job::lease || on == event::inherit;
    break;
  case effect::end_guest:
    now.interrupts = false;
    break;
  case effect::end_serving:
    now.served = false;
    break;
  case effect::note_clean:
  case effect::note_wish_gone: // nothing was touched
    now.used = now.interrupts = false;
    break;
  case effect::note_gone:
  case effect::note_let_go:
    now.interrupts = false;
    break;
  default:
    break;
  }
}

void check_arrival(const scene& now, const life& was, const life::effects& due) {
  const auto phase_now = now.function.now();
  CHECK((now.function.busy() || now.out == job::none || over.contains(phase_now)));
  CHECK((phase_now != phase::held || (!now.used && !now.interrupts && !now.served && !now.page)));
  CHECK((now.function.busy() != idle.contains(phase_now)));
  CHECK((!due.contains(effect::settle) || !now.function.busy()));
  CHECK((!due.contains(effect::resume) || !now.function.busy()));
  // What is removed comes back as another function; what is stranded is nobody's, dom0's included.
  if (away.contains(was.now()))
    CHECK(away.contains(phase_now));
  if (stranded.contains(was.now()))
    CHECK((stranded.contains(phase_now) || phase_now == phase::stopped));
  if (over.contains(was.now()))
    CHECK(phase_now == was.now());
  if (was.removed())
    CHECK(now.function.removed());
}

void check_effects(const life& was, event what, const life::effects& due) {
  if (wishes.contains(what))
    CHECK(std::ranges::count_if(due, [](effect each) { return answers.contains(each); }) == 1);
  for (const auto each : due) {
    if (away.contains(was.now())) // nothing of the hardware is touched any more
      CHECK_FALSE(touches.contains(each));
    if (over.contains(was.now()))
      CHECK(each == effect::refuse);
    if (what == event::stop)
      CHECK(each == effect::end);
  }
}

// What the event and its effects make of it.
scene follow(scene next, const scene& now, event what, const life::effects& due) {
  if (is_outcome(what) || (what == event::hold_lost && tells_at_its_end.contains(now.function.now()))) {
    next.out = job::none;
    if (now.out == job::end_guest && what == event::removal_let_go)
      next.interrupts = false;
  }
  if (what == event::page_unmapped && now.function.now() == phase::awaiting_page) // not one of an earlier lease
    next.page = false;
  for (const auto each : due) {
    check(next, each, what, now.function.now());
    apply(next, each, what, now.function.now());
  }
  return next;
}

const life::rule* fitting(const life& function, event what) {
  for (const auto& each : life::table())
    if (each.from.contains(function.now()) && each.on.contains(what) && each.hardware.contains(function.hardware()))
      return &each;
  return nullptr;
}

std::string in_words(const scene& now, event what) {
  return std::string(to_string(now.function.now())) + " (" + std::string(to_string(now.function.hardware())) + "), " +
         std::string(to_string(what));
}

} // namespace

TEST_CASE("function life: whatever comes, in whatever order") {
  std::set<const life::rule*> used;
  std::set<phase> seen;
  std::size_t ways = 0;
  std::set<decltype(scene{}.key())> known;
  std::deque<scene> left{scene{}};
  while (!left.empty()) {
    const auto now = left.front();
    left.pop_front();
    seen.insert(now.function.now());
    for (const auto what : events) {
      if (!can_happen(now, what))
        continue;
      CAPTURE(in_words(now, what));
      auto next = now;
      const auto due = next.function.on(what);
      CHECK(std::ranges::equal(due, now.function.answer(what)));
      check_effects(now.function, what, due);
      next = follow(next, now, what, due);
      check_arrival(next, now.function, due);
      used.insert(fitting(now.function, what));
      ++ways;
      if (known.insert(next.key()).second)
        left.push_back(next);
    }
  }
  MESSAGE(known.size() << " scenes, " << ways << " ways");
  CHECK(seen.size() == life::phases);
  for (const auto& rule : life::table()) {
    CAPTURE(&rule - life::table().data());
    CHECK(used.contains(&rule)); // none is there in vain
  }
}

TEST_CASE("function life: what waits comes to an answer by itself") {
  // Errands end, pages are unmapped, time passes: nobody else has to do anything for it.
  set_of<event> by_itself{event::page_unmapped, event::look_at_pirqs, event::pause_over, event::reset_group_quiet};
  for (const auto& each : outcomes)
    by_itself = by_itself | each.second;
  for (const auto& rule : life::table()) {
    if (!rule.due.contains(effect::wait))
      continue;
    for (const auto from : phases) {
      if (!rule.from.contains(from) || from == phase::fresh) // for which root's first word is on its way
        continue;
      CAPTURE(to_string(from));
      std::set<phase> reached{rule.to.value_or(from)};
      bool answered = false;
      for (bool more = true; more;) {
        const auto before = reached.size();
        for (const auto& way : life::table())
          for (const auto at : std::set<phase>(reached))
            if (way.from.contains(at) && std::ranges::any_of(events, [&](event each) {
                  return by_itself.contains(each) && way.on.contains(each);
                })) {
              reached.insert(way.to.value_or(at));
              answered = answered || way.due.contains(effect::settle) || way.due.contains(effect::resume) ||
                         way.due.contains(effect::end);
            }
        more = reached.size() != before;
      }
      CHECK(answered);
    }
  }
}
