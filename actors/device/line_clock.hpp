// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include <caf/actor_addr.hpp>

#include "actors/environment.hpp"
#include "actors/look/watched.hpp"
#include "messages/interfaces.hpp"

namespace actors {

struct line_clock_state {
  static inline const char* name = "line_clock";
  using self_pointer = watched_pointer<messages::line_clock_actor, line_clock_state>;
  explicit line_clock_state(self_pointer self) : self_(self) {}

  void open(environment_ptr all) { all_ = std::move(all); }
  void plan(std::uint64_t number, platform::clock::duration when);
  void timer_over(std::uint64_t timer);

private:
  struct planned {
    caf::actor_addr whom; ///< weak: one that has ended is forgotten when its time comes
    std::uint64_t number = 0;
    platform::clock::duration when{};
  };
  void set_timer(platform::clock::duration when);

  self_pointer self_;
  environment_ptr all_;
  std::map<caf::actor_id, planned> looks_;         ///< one a device actor
  std::optional<platform::clock::duration> timer_; ///< when it runs out; empty: none runs
  std::uint64_t timers_ = 0;
};

/// See messages::line_clock_actor. Started and ended by root.
messages::line_clock_actor::behavior_type line_clock(line_clock_state::self_pointer self, environment_ptr all);

} // namespace actors
