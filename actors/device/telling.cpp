// SPDX-License-Identifier: GPL-2.0-or-later
// What a device actor shows of itself, and tells of its function to who watches.
#include "actors/device/device.hpp"

#include <utility>

namespace actors {
namespace {

using life_phase = pci::function_life::phase;

// A pause is a part of its scrub.
bool cleans(life_phase what) {
  return what == life_phase::scrubbing || what == life_phase::awaiting_pirqs || what == life_phase::retrying ||
         what == life_phase::awaiting_reset_group;
}

bool has_guest(life_phase what) {
  return what == life_phase::leased || what == life_phase::resetting || what == life_phase::ending_reset;
}

bool gives_back(life_phase what) {
  return what == life_phase::giving_back || what == life_phase::giving_back_failed ||
         what == life_phase::giving_back_untaken;
}

bool is_stranded(life_phase what) { return what == life_phase::stranded || what == life_phase::stranded_busy; }

} // namespace

void device_state::tell(happening what, std::string detail) const {
  all_->seen->events.tell({what, address_, domain_, guest_, std::move(detail), {}});
}

// Before anything is done about it: whose it was is still known.
void device_state::tell(phase before) {
  const auto now = life_.now();
  self_->seen().set_state(to_string(now).data());
  if (cleans(now) && !cleans(before)) {
    scrub_begun_ = all_->host.time().now();
  }
  if (cleans(before) && !cleans(now) && now != phase::stopped) {
    all_->seen->scrubs.ended(now == phase::held, all_->host.time().now() - scrub_begun_);
  }
  if (has_guest(before) && !has_guest(now) && now != phase::stopped) {
    tell(happening::returned);
  }
  if (now == phase::leased && !has_guest(before)) {
    tell(before == phase::inherited ? happening::adopted : happening::leased);
  } else if (now == phase::held && cleans(before)) {
    tell(happening::scrubbed);
    if (!std::exchange(told_of_hold_, true)) {
      tell(happening::held);
    }
  } else if (now == phase::failed || (now == phase::failed_awaiting_reset_group && before != phase::failed)) {
    if (cleans(before)) {
      tell(happening::failed, detail_);
    }
  } else if (now == phase::inherited && before == phase::fresh) {
    tell(happening::inherited);
  } else if (now == phase::ended && gives_back(before)) {
    tell(happening::released);
  } else if (is_stranded(now) && !is_stranded(before)) {
    tell(happening::stranded);
  } else if (now == phase::gone_busy || (now == phase::gone && before != phase::gone_busy)) {
    tell(happening::removed);
  }
}

} // namespace actors
