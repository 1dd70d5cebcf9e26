// SPDX-License-Identifier: GPL-2.0-or-later
// What the device actor does for its function's interrupt line: it plans the looks, binds holders, switches.
#include "actors/device/device.hpp"

#include "actors/jobs.hpp"

namespace actors {

using messages::function_state;

void device_state::look_at_line() {
  const auto then = line_->look();
  if (then.rebind) {
    rebind(*then.rebind);
  } else {
    plan_look(then.look_again);
  }
}

void device_state::planned_look(std::uint64_t number) {
  if (number == line_look_) { // else there was one out of turn since, and the next is planned anew
    look_at_line();
  }
}

void device_state::plan_look(std::optional<platform::clock::duration> when) {
  ++line_look_;
  if (when) {
    self_->send(with_.line_clock, messages::look_atom_v, line_look_, *when);
  }
}

// Beside the guest's operations: they and the binding do not touch the same things.
void device_state::rebind(platform::holder wanted) {
  on_hardware<void>(
      [device = in_use(), wanted, guest = in_use()->guest_number()] { return device->rebind(wanted, guest); },
      [this, lease = lease_.number](const pci::result<void>& done) {
        reply_all(until_rebound_, done);
        const bool used = state() == function_state::leased || state() == function_state::inherited;
        if (used && lease == lease_.number) {
          line_->rebound(done);
          static_cast<void>(note());
          look_at_line();
        }
      });
}

caf::result<void> device_state::acknowledge(bool on) {
  if (life_.busy()) {
    return messages::to_error(refusal("switched while it is being reset"));
  }
  if (auto done = line_->set_enabled(on); !done) {
    return messages::to_error(done.error());
  }
  auto promise = self_->make_response_promise();
  until_rebound_.push_back(promise);
  look_at_line();
  if (!line_->rebinding()) {
    reply_all(until_rebound_, {});
  }
  static_cast<void>(note());
  return promise;
}

} // namespace actors
