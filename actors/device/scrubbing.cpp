// SPDX-License-Identifier: GPL-2.0-or-later
// How a device actor takes its function back from a guest and makes it clean.
#include "actors/device/device.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace actors {

using messages::function_state;
using pci::scrub_step;

namespace {

using namespace std::chrono_literals;

// A guest that is being destroyed has let go in a second or two; one that lives on perhaps never does.
constexpr platform::clock::duration first_look_at_pirqs = 200ms;
constexpr platform::clock::duration last_look_at_pirqs = 5s;
constexpr auto patience_with_neighbours = std::chrono::seconds(5);

} // namespace

caf::result<void> device_state::return_lease(messages::lease lease) {
  if (state_ == function_state::leased && lease.number == lease_.number) {
    take_back();
    if (taken_back_) {
      return until_quiet_ = self_->make_response_promise();
    }
  }
  return {};
}

void device_state::holder_down(const caf::actor_addr& holder) {
  if (holder != holder_) {
    return;
  }
  holder_ = nullptr;
  if (std::exchange(awaiting_page_, false)) {
    finish_scrub();
  } else if (state_ == function_state::leased) {
    lease_log_.write(spdlog::level::warn, "{}: the actor of domain {} ended without returning its lease",
                     pci::to_string(address_), domain_.value_or(0));
    take_back();
  }
}

void device_state::ended(messages::domain_id domain) {
  if (domain_.value_or(messages::unknown_domain) != domain || busy_) {
    return;
  }
  if (state_ == function_state::granted) {
    scrub();
  } else if (state_ == function_state::inherited) {
    reclaim();
  }
}

void device_state::take_back() {
  if (hold_is_lost()) {
    return;
  }
  ++lease_.number; // what is still in a mailbox belongs to no lease
  all_->events.unroute_line(address_);
  line_->end();
  end_serving();
  recovery_ = {};
  renewed_ = false;
  if (busy_) { // the function is being reset for the guest that gives it back
    state_ = function_state::scrubbing;
    taken_back_ = true;
  } else {
    scrub_after_lease();
  }
}

void device_state::scrub_after_lease() {
  if (stranded_) {
    return;
  }
  begin_scrub();
  awaiting_page_ = page_may_be_mapped();
  if (!awaiting_page_) {
    self_->demonitor(holder_);
    holder_ = nullptr;
    finish_scrub();
  }
}

// Xen keeps a dead domain for as long as its page is mapped, and touches the function when it frees it: before the
// reset, not after. The guest's actor unmaps the page when all its functions are quiet, and then ends.
bool device_state::page_may_be_mapped() const {
  const auto info = domain_ ? all_->host.xen().domain(*domain_) : std::nullopt;
  return holder_ && info && info->dying;
}

// A bug ends this actor while a guest has the function: only it knows the guest's pirqs, so it ends them.
void device_state::let_go() {
  if (!hardware_ || busy_ || (state_ != function_state::leased && state_ != function_state::granted)) {
    return;
  }
  static_cast<void>(scrub_until(*hardware_, {}, scrub_step::reset));
}

caf::result<void> device_state::retry() {
  if (state_ == function_state::held && !busy_) {
    return {};
  }
  if (state_ != function_state::failed || busy_) {
    return messages::to_error(refusal("scrubbed again"));
  }
  auto promise = self_->make_response_promise();
  until_settled_.push_back(promise);
  const auto begin = [this] { hardware_ ? scrub() : reclaim(); };
  if (use(begin)) { // otherwise a neighbour is just being reset together with it
    begin();
  }
  return promise;
}

void device_state::scrub() {
  begin_scrub();
  finish_scrub();
}

// The quick steps, which end the guest's hold on the host, are done before this returns.
void device_state::begin_scrub() {
  state_ = function_state::scrubbing;
  busy_ = true;
  policy_.end_lease();
  end_pause();
  tries_ = 0;
  hardware_->insist_on_msix(true);
  scrub_ = scrub_until(*hardware_, {}, scrub_step::revoke);
  look_at_pirqs_in_ = first_look_at_pirqs;
}

void device_state::finish_scrub() {
  errand<scrub_progress>(
      [device = hardware_, now = scrub_]() -> pci::result<scrub_progress> {
        auto end = scrub_until(*device, now, scrub_step::done);
        if (end.where.current() == scrub_step::done) {
          device->disarm_guard();
        }
        return end;
      },
      [this](const pci::result<scrub_progress>& outcome) {
        if (outcome) {
          return outcome->waits.empty() ? scrubbed(*outcome) : wait_for_pirqs(*outcome);
        }
        busy_ = false; // the daemon stops, or a bug: neither passes
        detail_ = pci::to_string(outcome.error());
        scrub_ended();
      });
}

// Not a failure: the function is quiet, and nobody gets it before.
void device_state::wait_for_pirqs(const scrub_progress& so_far) {
  scrub_ = so_far;
  const auto detail = guest_.empty() ? so_far.waits : fmt::format("waits for {}: {}", guest_, so_far.waits);
  if (detail_ != detail) {
    lease_log_.write(spdlog::level::info, "{} {}", pci::to_string(address_), detail);
  }
  detail_ = detail;
  awaiting_pirqs_ = true;
  self_->delayed_send(self_, look_at_pirqs_in_, messages::wait_atom_v);
  look_at_pirqs_in_ = std::min(2 * look_at_pirqs_in_, last_look_at_pirqs);
}

void device_state::look_at_pirqs() {
  if (std::exchange(awaiting_pirqs_, false)) {
    finish_scrub();
  }
}

device_state::scrub_progress device_state::scrub_until(hardware& device, scrub_progress now, scrub_step end) {
  now.waits.clear();
  while (now.where.current() < end && !now.where.finished()) {
    if (device.leaving() && now.where.current() >= scrub_step::reset) {
      break; // only what its removal from dom0 must wait for
    }
    const auto step = now.where.current();
    const auto done = device.perform(step);
    if (!done && step == scrub_step::await_pirqs && done.error().error == EAGAIN) {
      now.waits = done.error().context;
      break;
    }
    if (!done && done.error().error == EINPROGRESS) {
      now.waiting = fmt::format("{}: {}", to_string(step), done.error().context);
      now.waits_for = device.waits_for();
      break;
    }
    if (!done && now.detail.empty()) {
      now.detail = fmt::format("{}: {}", to_string(step), pci::to_string(done.error()));
    }
    now.where.advance(done.has_value());
  }
  return now;
}

void device_state::scrubbed(scrub_progress now) {
  busy_ = false;
  if (removing_ && !removed_) {
    return let_removal_go();
  }
  scrub_ = std::move(now);
  detail_ = scrub_.waits_for.empty() ? scrub_.detail : scrub_.waiting;
  if (removed_) {
    return scrub_ended();
  }
  if (!scrub_.waits_for.empty()) {
    return wait_for_neighbours();
  }
  if (scrub_.where.current() != scrub_step::done) {
    if (const auto wait = pci::wait_before_retry(++tries_)) {
      return scrub_again_in(*wait);
    }
    if (scrub_.where.first_failure() == scrub_step::renew_msix && hardware_->insists_on_msix()) {
      hardware_->insist_on_msix(false); // a function is of use without, too
      scrub_ = {scrub_.where.again(), {}, {}, {}, {}};
      return go_on();
    }
  }
  scrub_ended();
}

// -- scrubs that go on later: nothing runs meanwhile, and no thread waits

void device_state::scrub_again_in(std::chrono::milliseconds wait) {
  lease_log_.write(spdlog::level::warn, "{} is not clean yet, and is scrubbed again in {} ms: {}",
                   pci::to_string(address_), wait.count(), detail_);
  paused_ = pause::retry;
  self_->delayed_send(self_, wait, messages::again_atom_v, ++pauses_);
}

// Both may be in the hands of a guest that ends, and then it is not long; or the other's guest lives on, and then who
// waits for this one is told.
void device_state::wait_for_neighbours() {
  paused_ = pause::neighbours;
  const auto waits =
      all_->functions->idle.wait_for(address_, scrub_.waits_for, [whom = caf::actor_cast<caf::actor_addr>(self_)] {
        if (const auto alive = caf::actor_cast<caf::strong_actor_ptr>(whom)) {
          caf::anon_send(caf::actor_cast<messages::device_actor>(alive), messages::quiet_atom_v);
        }
      });
  if (waits) {
    self_->delayed_send(self_, patience_with_neighbours, messages::again_atom_v, ++pauses_);
  } else {
    go_on();
  }
}

void device_state::neighbour_quiet() {
  if (paused_ != pause::neighbours) {
    return;
  }
  switch (all_->functions->idle.resume(address_)) {
  case idle_functions::resumption::later:
    return;
  case idle_functions::resumption::was_reset:
    scrub_.where.advance(true);
    break;
  case idle_functions::resumption::try_again:
    break;
  }
  go_on();
}

void device_state::again(std::uint64_t number) {
  if (number != pauses_ || paused_ == pause::none) {
    return;
  }
  if (paused_ == pause::retry) {
    scrub_ = {scrub_.where.again(), {}, {}, {}, {}};
    return go_on();
  }
  // It goes on all the same when the others are quiet; until then nobody gets it.
  scrub_ended();
}

void device_state::go_on() {
  end_pause();
  scrub_.waits_for.clear();
  state_ = function_state::scrubbing;
  busy_ = true;
  finish_scrub();
}

void device_state::end_pause() {
  paused_ = pause::none;
  ++pauses_;
}

void device_state::forget_holder() {
  inherited_.reset();
  domain_.reset();
  target_.reset();
  guest_.clear();
  virtual_address_.reset();
}

void device_state::scrub_ended() {
  const bool clean = scrub_.where.current() == scrub_step::done;
  state_ = removed_ ? function_state::gone : clean ? function_state::held : function_state::failed;
  forget_holder();
  if (removed_) {
    all_->journal->forget(address_);
    all_->functions->idle.forget(address_);
    // Unlimited: the host's doing.
    spdlog::info("{} is gone from the host", pci::to_string(address_));
  } else if (!clean) {
    // Unlimited: it goes to no guest after that.
    spdlog::error("{} is not clean and is not handed out again: {}", pci::to_string(address_), detail_);
  } else {
    guest_is_past();
    detail_.clear();
    hardware_->forget_guest();
    all_->functions->idle.set_idle(address_);
    lease_log_.write(spdlog::level::info, "{} is clean", pci::to_string(address_));
  }
  if (!removed_) {
    static_cast<void>(note());
  }
  settled();
}

} // namespace actors
