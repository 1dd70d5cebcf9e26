// SPDX-License-Identifier: GPL-2.0-or-later
// A held function's errors: what is counted, who is told, and how it is reset and restored under its guest.
#include "actors/device/device.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/jobs.hpp"

namespace actors {

using messages::function_state;
using pci::channel_state;

namespace {

using namespace std::chrono_literals;

std::string text_of(const pci::error_tally& what) {
  const auto worst = what.fatal != 0      ? pci::error_severity::fatal
                     : what.nonfatal != 0 ? pci::error_severity::nonfatal
                                          : pci::error_severity::corrected;
  return fmt::format("{}: {}", pci::to_string(worst), what.last.empty() ? "status unknown" : what.last);
}

} // namespace

void device_state::note_errors(const pci::error_tally& what) {
  const auto count = what.corrected + what.nonfatal + what.fatal;
  if (count == 0) {
    return;
  }
  errors_.corrected += what.corrected;
  errors_.nonfatal += what.nonfatal;
  errors_.fatal += what.fatal;
  errors_.last = text_of(what);
  tell(happening::error,
       fmt::format("{} PCI {}, the last one {}", count, count == 1 ? "error" : "errors", errors_.last));
  error_log_.write(what.uncorrected() ? spdlog::level::warn : spdlog::level::info, "{}: {} PCI {}, the last one {}",
                   pci::to_string(address_), count, count == 1 ? "error" : "errors", errors_.last);
}

void device_state::error(const pci::error_tally& what) {
  const bool own = what.address == address_;
  if (own) {
    note_errors(what);
  }
  const auto& bridges = hardware_ ? hardware_->description().bridges : std::vector<pci::sbdf>{};
  const bool above = std::find(bridges.begin(), bridges.end(), what.address) != bridges.end();
  if ((!own && !above) || life_.removed() || !hardware_ || !(what.uncorrected() || what.host_ended)) {
    return;
  }
  if (life_.busy()) { // a job has the hardware: looked at again when it may be done
    if (what.host_ended) {
      pci::error_tally later;
      later.address = what.address;
      later.host_ended = true;
      self_->delayed_send(self_, 1s, messages::error_atom_v, later);
    }
    if (state() != function_state::leased) {
      return;
    }
  }
  // A fatal error of the link above is this function's too: the kernel resets all below it.
  std::optional<channel_state> how;
  if (what.fatal != 0) {
    how = channel_state::frozen;
  } else if (own && what.nonfatal != 0) {
    how = channel_state::normal;
  }
  if (what.host_ended && !life_.busy()) {
    const bool reset =
        serving_ ? serving_->exclusively([](hardware& device) { return device.was_reset(); }) : hardware_->was_reset();
    how = reset ? channel_state::frozen : how; // another function's error below the same bridge
  }
  if (state() == function_state::leased) {
    const bool in_use = !serving_ || serving_->is_in_use();
    tell_holder({address_, lease_.number, how, what.host_ended, policy_.in_force().aer, in_use});
  } else if (what.host_ended && how == channel_state::frozen) {
    recover_unleased();
  }
}

void device_state::tell_holder(const messages::function_error& what) {
  if (!what.how && !what.host_ended) {
    return;
  }
  recovery_ = what.how ? "its guest is recovering it from an error" : recovery_;
  // Nobody restores it under a device model.
  if (serving_ && !target_ && what.how == channel_state::frozen) {
    serving_->suspend(true); // until it is restored
  }
  if (const auto alive = caf::actor_cast<caf::strong_actor_ptr>(holder_)) {
    self_->send(caf::actor_cast<messages::domain_actor>(alive), messages::error_atom_v, what);
  }
}

// Nobody uses the function, but it is no longer what it was when it was found clean.
void device_state::recover_unleased() {
  const auto again = [this] {
    if (apply(event::reset_by_host).empty()) {
      settled();
    }
  };
  if (is(phase::held)) {
    if (use(again)) {
      again();
    }
  } else if (is(phase::granted)) {
    if (auto done = hardware_->recover(); !done) {
      error_log_.write(spdlog::level::err, "{} did not come back after its reset: {}", pci::to_string(address_),
                       pci::to_string(done.error()));
    }
  }
}

caf::result<void> device_state::recover(messages::lease lease, bool reset) {
  if (lease.number != lease_.number || !may(event::reset)) {
    return messages::to_error(refusal("restored"));
  }
  if (!reset) {
    auto done = restore_now();
    return done ? caf::result<void>{} : messages::to_error(done.error());
  }
  auto promise = self_->make_response_promise();
  apply(event::reset, [this, number = lease.number, promise] {
    serving_->suspend(true);
    on_hardware<void>(
        [device = hardware_, guest = serving_] {
          guest->await_operation(); // which began before it was suspended
          return device->perform(pci::scrub_step::reset);
        },
        [this, number, promise](const pci::result<void>& done) { reset_done(number, done, promise); });
  });
  return promise;
}

void device_state::reset_done(std::uint64_t lease, const pci::result<void>& done, caf::response_promise promise) {
  if (!is(phase::ending_reset)) {
    const auto due = apply(event::reset_over, [&] { reply(promise, restored_after(lease, done)); });
    if (!due.contains(effect::begin)) {
      reply(promise, restored_after(0, done));
    }
    return;
  }
  promise.deliver(messages::to_error({ECANCELED, "the guest has given the function back"}));
  if (const auto lost = life_.removed() ? mapped_vectors(true) : 0; lost != 0) {
    lose(event::hold_lost, lost);
  } else {
    apply(event::reset_over);
  }
  until_quiet_.deliver(caf::unit);
  until_quiet_ = {};
}

pci::result<void> device_state::restored_after(std::uint64_t lease, const pci::result<void>& reset) {
  if (lease != lease_.number || life_.removed()) {
    return pci::fail(ENODEV, fmt::format("{} is gone", pci::to_string(address_)));
  }
  // A function without any reset method, or with one that would hit what others use, is restored as it is: its driver
  // has said that it can begin anew.
  const bool restore = reset || reset.error().error == ENOTSUP || reset.error().error == EINPROGRESS;
  return restore ? restore_now() : reset;
}

pci::result<void> device_state::restore_now() {
  auto done = serving_->exclusively([](hardware& device) { return device.recover(); });
  if (std::exchange(renewed_, false)) { // of what is whole again: a vector of one that is not cannot be ended
    renew_now();
  }
  if (done) {
    serving_->suspend(false);
  }
  return done;
}

// dom0's kernel has put back what it knows of, and not what guests have: to it their interrupts are not on. What an
// job is at looks for itself whether the function is as it should be.
void device_state::resumed() {
  if (life_.busy() || life_.removed()) {
    return;
  }
  if (!serving_) {
    return recover_unleased();
  }
  if (target_) {
    // Unlimited: once a sleep.
    spdlog::warn("{}: domain {}'s device model has it, and nobody else may touch it: after the sleep its guest may "
                 "have to load its driver again",
                 pci::to_string(address_), *target_);
    return;
  }
  const auto done = serving_->exclusively([](hardware& device) { return device.resume(); });
  if (!done) {
    // Unlimited: once a sleep.
    spdlog::error("{} did not come back after the sleep: {}", pci::to_string(address_), pci::to_string(done.error()));
  }
  look_at_line();
}

void device_state::recovered(messages::lease lease, bool succeeded) {
  ++(succeeded ? errors_.recovered : errors_.failed);
  tell(succeeded ? happening::recovered : happening::unrecovered);
  if (!serving_ || lease.number != lease_.number) {
    return;
  }
  recovery_ = succeeded ? "" : "its guest has not recovered it from an error";
  if (!life_.busy()) {
    if (std::exchange(renewed_, false)) {
      renew_now();
    }
    serving_->suspend(false);
  }
}

} // namespace actors
