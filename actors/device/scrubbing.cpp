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
constexpr auto reset_group_patience = std::chrono::seconds(5);

} // namespace

caf::result<void> device_state::return_lease(messages::lease lease) {
  if (state() == function_state::leased && lease.number == lease_.number) {
    take_back(event::returned);
    if (is(phase::ending_reset)) {
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
  if (is(phase::awaiting_page)) { // a bug: nobody else would tell of it
    page_unmapped();
  } else if (state() == function_state::leased) {
    lease_log_.write(spdlog::level::warn, "{}: the actor of domain {} ended without returning its lease",
                     pci::to_string(address_), domain_.value_or(0));
    take_back(event::returned);
  }
}

void device_state::ended(messages::domain_id domain) {
  if (domain_.value_or(messages::unknown_domain) == domain) {
    apply(event::guest_ended);
  }
}

void device_state::take_back(event why) {
  if (!hold_is_lost()) {
    apply(why);
  }
}

void device_state::end_lease() {
  ++lease_.number; // what is still in a mailbox belongs to no lease
  all_->events.unroute_line(address_);
  line_->end();
  end_serving();
  recovery_ = {};
  renewed_ = false;
}

void device_state::await_page() {
  if (!page_may_be_mapped()) {
    page_unmapped();
  }
}

// By its actor, which tells those whose leases it has returned.
void device_state::unmapped() {
  if (is(phase::awaiting_page) && caf::actor_cast<caf::actor_addr>(self_->current_sender()) == holder_) {
    page_unmapped();
  }
}

void device_state::page_unmapped() {
  if (holder_) {
    self_->demonitor(holder_);
    holder_ = nullptr;
  }
  apply(event::page_unmapped);
}

// Xen keeps a dead domain for as long as its page is mapped, and touches the function when it frees it: before the
// reset, not after. The guest's actor unmaps the page when all its functions are quiet, and tells.
bool device_state::page_may_be_mapped() const {
  const auto info = domain_ ? all_->host.xen().domain(*domain_) : std::nullopt;
  return holder_ && info && info->dying;
}

// A bug ends this actor while a guest has the function: only it knows the guest's pirqs, so it ends them.
void device_state::let_go() {
  if (life_.on(event::died).contains(effect::end_guest)) {
    static_cast<void>(scrub_until(*hardware_, {}, scrub_step::reset));
  }
}

caf::result<void> device_state::retry() {
  const auto answer = life_.answer(event::retry);
  if (answer.contains(effect::agree)) {
    return {};
  }
  if (answer.contains(effect::refuse)) {
    return messages::to_error(refusal("scrubbed again"));
  }
  auto promise = self_->make_response_promise();
  until_settled_.push_back(promise);
  const auto begin = [this] {
    if (!apply(event::retry).contains(effect::wait)) {
      settled();
    }
  };
  if (use(begin)) { // otherwise a neighbour is just being reset together with it
    begin();
  }
  return promise;
}

// The quick steps, which end the guest's hold on the host, are done before this returns.
void device_state::end_guest() {
  policy_.end_lease();
  tries_ = 0;
  hardware_->insist_on_msix(true);
  scrub_ = scrub_until(*hardware_, {}, scrub_step::revoke);
  look_at_pirqs_in_ = first_look_at_pirqs;
}

void device_state::finish_scrub() {
  on_hardware<scrub_progress>(
      [device = hardware_, now = scrub_, rests = may_rest()]() -> pci::result<scrub_progress> {
        auto end = scrub_until(*device, now, scrub_step::done);
        if (end.where.current() == scrub_step::done) {
          device->disarm_guard();
          if (rests) {
            device->rest();
          }
        }
        return end;
      },
      [this](const pci::result<scrub_progress>& outcome) {
        if (outcome) {
          return outcome->waits.empty() ? scrubbed(*outcome) : wait_for_pirqs(*outcome);
        }
        detail_ = pci::to_string(outcome.error()); // the daemon stops, or a bug: neither passes
        apply(event::scrub_failed);
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
  apply(event::scrub_has_pirqs);
}

void device_state::await_pirqs() {
  self_->delayed_send(self_, look_at_pirqs_in_, messages::wait_atom_v);
  look_at_pirqs_in_ = std::min(2 * look_at_pirqs_in_, last_look_at_pirqs);
}

void device_state::look_at_pirqs() { apply(event::look_at_pirqs); }

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
  scrub_ = std::move(now);
  detail_ = scrub_.waits_for.empty() ? scrub_.detail : scrub_.waiting;
  apply(what_scrub_came_to());
}

device_state::event device_state::what_scrub_came_to() {
  if (!scrub_.waits_for.empty()) {
    return event::scrub_blocked;
  }
  if (scrub_.where.current() == scrub_step::done) {
    return event::scrub_clean;
  }
  if (pci::wait_before_retry(++tries_)) {
    return event::scrub_retries;
  }
  if (scrub_.where.first_failure() == scrub_step::renew_msix && hardware_->insists_on_msix()) {
    hardware_->insist_on_msix(false); // a function is of use without, too
    scrub_ = {scrub_.where.again(), {}, {}, {}, {}};
    return event::scrub_yields;
  }
  return event::scrub_failed;
}

// -- scrubs that go on later: nothing runs meanwhile, and no thread waits

void device_state::await_retry() {
  const auto wait = pci::wait_before_retry(tries_).value_or(std::chrono::milliseconds{});
  lease_log_.write(spdlog::level::warn, "{} is not clean yet, and is scrubbed again in {} ms: {}",
                   pci::to_string(address_), wait.count(), detail_);
  self_->delayed_send(self_, wait, messages::again_atom_v, ++pauses_);
}

// Both may be in the hands of a guest that ends, and then it is not long; or the other's guest lives on, and then who
// waits for this one is told.
void device_state::await_reset_group() {
  const auto waits =
      all_->functions->idle.wait_for(address_, scrub_.waits_for, [whom = caf::actor_cast<caf::actor_addr>(self_)] {
        if (const auto alive = caf::actor_cast<caf::strong_actor_ptr>(whom)) {
          caf::anon_send(caf::actor_cast<messages::device_actor>(alive), messages::quiet_atom_v);
        }
      });
  if (waits) {
    self_->delayed_send(self_, reset_group_patience, messages::again_atom_v, ++pauses_);
  } else {
    go_on();
  }
}

void device_state::reset_group_quiet() {
  if (life_.answer(event::reset_group_quiet).empty()) {
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

void device_state::go_on() {
  scrub_.waits_for.clear();
  apply(event::reset_group_quiet);
}

// A scrub that waits for its reset group goes on all the same when they are quiet; until then nobody gets it.
void device_state::again(std::uint64_t number) {
  if (number != pauses_) {
    return;
  }
  if (is(phase::retrying)) {
    scrub_ = {scrub_.where.again(), {}, {}, {}, {}};
  }
  apply(event::pause_over);
}

// -- how it ends

void device_state::forget_holder() {
  inherited_.reset();
  domain_.reset();
  target_.reset();
  guest_.clear();
  virtual_address_.reset();
}

void device_state::note_clean() {
  forget_holder();
  guest_is_past();
  detail_.clear();
  hardware_->forget_guest();
  all_->functions->idle.set_idle(address_);
  lease_log_.write(spdlog::level::info, "{} is clean", pci::to_string(address_));
  static_cast<void>(note());
}

void device_state::note_failed() {
  forget_holder();
  // Unlimited: it goes to no guest after that.
  spdlog::error("{} is not clean and is not handed out again: {}", pci::to_string(address_), detail_);
  static_cast<void>(note());
}

void device_state::note_gone() {
  forget_holder();
  forget();
  // Unlimited: the host's doing.
  spdlog::info("{} is gone from the host", pci::to_string(address_));
}

} // namespace actors
