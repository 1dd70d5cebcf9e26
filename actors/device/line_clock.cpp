// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/device/line_clock.hpp"

#include <algorithm>

#include <caf/actor_cast.hpp>

#include "actors/jobs.hpp"

namespace actors {

void line_clock_state::plan(std::uint64_t number, platform::clock::duration when) {
  const auto& whom = self_->current_sender();
  if (!whom) {
    return;
  }
  looks_.insert_or_assign(whom->id(), planned{caf::actor_cast<caf::actor_addr>(whom), number, when});
  if (!timer_ || when < *timer_) {
    set_timer(when);
  }
}

void line_clock_state::set_timer(platform::clock::duration when) {
  timer_ = when;
  const auto left = std::max(when - all_->host.time().now(), platform::clock::duration{0});
  self_->delayed_send(self_, left, messages::due_atom_v, ++timers_);
}

void line_clock_state::timer_over(std::uint64_t timer) {
  if (timer != timers_) {
    return;
  }
  timer_.reset();
  const auto now = all_->host.time().now();
  std::optional<platform::clock::duration> next;
  for (auto each = looks_.begin(); each != looks_.end();) {
    const auto& [whom, number, when] = each->second;
    if (when > now) {
      next = std::min(next.value_or(when), when);
      ++each;
      continue;
    }
    if (const auto alive = caf::actor_cast<caf::strong_actor_ptr>(whom)) {
      self_->send(caf::actor_cast<messages::device_actor>(alive), messages::look_atom_v, number);
    }
    each = looks_.erase(each);
  }
  if (next) {
    set_timer(*next);
  }
}

messages::line_clock_actor::behavior_type line_clock(line_clock_state::self_pointer self, environment_ptr all) {
  behave(self);
  self->seen().is("line clock");
  auto* state = &self->state;
  state->open(std::move(all));
  return {
      [state](messages::look_atom, std::uint64_t number, caf::timespan when) { state->plan(number, when); },
      [state](messages::due_atom, std::uint64_t timer) { state->timer_over(timer); },
  };
}

} // namespace actors
