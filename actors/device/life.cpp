// SPDX-License-Identifier: GPL-2.0-or-later
// What is done when the life of a function goes on, and who waits for that.
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "actors/device/device.hpp"
#include "actors/jobs.hpp"

namespace actors {

using messages::function_state;

device_state::effects device_state::apply(event what, const action& begin) {
  const auto before = life_.now();
  const auto due = life_.on(what);
  if (life_.now() != before) {
    tell(before);
  }
  for (const auto each : due) {
    perform(each, begin);
  }
  return due;
}

void device_state::perform(effect what, const action& begin) {
  switch (what) {
  case effect::refuse:
  case effect::wait:
  case effect::agree:
    return; // it is who asked that knows what to answer
  case effect::begin:
  case effect::resume:
    return begin();
  case effect::settle:
    return settled();
  case effect::end:
    return self_->quit();
  case effect::take:
    detail_.clear();
    return take(false);
  case effect::end_guest:
    return end_guest();
  case effect::await_page:
    return await_page();
  case effect::scrub:
    return finish_scrub();
  case effect::await_pirqs:
    return await_pirqs();
  case effect::await_retry:
    return await_retry();
  case effect::await_reset_group:
    return await_reset_group();
  case effect::let_removal_go:
    return let_removal_go();
  case effect::end_inherited:
    return end_inherited();
  case effect::await_guest:
    return await_guest();
  case effect::await_removal_retry:
    return await_removal_retry();
  case effect::end_serving:
    return end_lease();
  case effect::end_inheritance:
    return end_inheritance();
  case effect::note_wish_gone:
    return forget_wish();
  case effect::note_clean:
    return note_clean();
  case effect::note_failed:
    return note_failed();
  case effect::note_kept:
    static_cast<void>(note());
    return;
  case effect::note_let_go:
    forget_holder();
    detail_ = "dom0 removes it";
    return;
  case effect::note_gone:
    return note_gone();
  case effect::forget:
    return forget();
  case effect::pause_guest:
    return pause_guest();
  }
}

void device_state::forget() {
  all_->journal->forget(address_);
  all_->functions->idle.forget(address_);
}

// A guest that is restarted asks for its function while the last scrub still runs: it waits. One only: the next is
// refused.
void device_state::when_settled(event what, std::string_view wish, caf::response_promise promise, action then) {
  if (!life_.answer(what).contains(effect::wait)) {
    then();
  } else if (waiting_) {
    promise.deliver(messages::to_error(refusal(wish)));
  } else {
    waiting_ = std::move(then);
    waiting_promise_ = std::move(promise);
  }
}

void device_state::settled() {
  if (life_.removing() && !life_.busy() && state() != function_state::gone) {
    go_on_with_removal();
  }
  if (life_.busy()) { // again
    return;
  }
  reply_all(until_settled_,
            is(phase::held) ? pci::result<void>{}
                            : pci::fail(EIO, fmt::format("{} is not clean: {}", pci::to_string(address_), detail_)));
  if (life_.left() && is(phase::gone)) {
    apply(event::leave); // who waits is told so
    return;
  }
  waiting_promise_ = {};
  if (auto next = std::exchange(waiting_, nullptr)) {
    next();
  }
}

} // namespace actors
