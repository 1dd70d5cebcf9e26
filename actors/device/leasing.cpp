// SPDX-License-Identifier: GPL-2.0-or-later
// Who has a function: the toolstack's grant, and the guest's lease.
#include "actors/device/device.hpp"

#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/domain_ids.hpp"
#include "actors/jobs.hpp"

namespace actors {

using messages::function_state;

// False: the reset of another function hits this one, and `again` is called when that is over.
bool device_state::use(action again) {
  if (all_->functions->idle.use(address_)) {
    return true;
  }
  prepare<void>(
      [all = all_, address = address_]() -> pci::result<void> {
        all->functions->idle.wait_and_use(address);
        return {};
      },
      [again = std::move(again)](const pci::result<void>&) { again(); });
  return false;
}

// Somebody may have waited for this one.
void device_state::refuse(caf::response_promise promise, const pci::failure& why) {
  tell(happening::refused, why.context);
  promise.deliver(messages::to_error(why));
  settled();
}

// With `how` the answer says what was done.
caf::response_promise device_state::grant(messages::domain_id domain, std::optional<messages::attach_options> how) {
  auto promise = self_->make_response_promise();
  if (domain == 0) {
    promise.deliver(messages::to_error(dom0_is_no_guest()));
    return promise;
  }
  when_settled(event::grant, "granted", promise, [this, domain, how, promise] { grant_now(domain, how, promise); });
  return promise;
}

void device_state::grant_now(messages::domain_id domain, std::optional<messages::attach_options> how,
                             caf::response_promise promise) {
  if (!may(event::grant)) {
    return refuse(promise, refusal("granted"));
  }
  if (const auto refused = reserved("granted", domain)) {
    return refuse(promise, *refused);
  }
  if (const auto refused = line_->refusal(*hardware_, policy_.in_force().line)) {
    return refuse(promise, *refused);
  }
  take_pages({domain}, promise, [this, domain, how, promise] { grant_pages(domain, how, promise); });
}

void device_state::grant_pages(messages::domain_id domain, std::optional<messages::attach_options> how,
                               caf::response_promise promise) {
  if (!may(event::grant)) {
    leave_pages(domain);
    return refuse(promise, refusal("granted"));
  }
  if (!use([this, domain, how, promise] { grant_pages(domain, how, promise); })) {
    return;
  }
  domain_ = domain;
  if (const auto noted = note(true); !noted) {
    leave_pages(domain);
    forget_wish();
    return refuse(promise, not_noted("granted", noted.error()));
  }
  const auto rdm = how && how->rdm ? *how->rdm : policy_.in_force().rdm;
  if (how) {
    how->rdm = rdm;
  }
  apply(event::grant, [this, domain, rdm, how, promise] {
    on_hardware<void>(
        [device = hardware_, domain, rdm, rests = may_rest()] {
          device->arm_guard(); // before the guest can have a pirq
          auto done = device->wake().and_then([&] { return device->grant(domain, rdm); });
          if (!done && !device->last_guest()) {
            device->disarm_guard();
            if (rests) {
              device->rest();
            }
          }
          return done;
        },
        [this, how, promise](const pci::result<void>& done) { granted(done, how, promise); });
  });
}

void device_state::granted(const pci::result<void>& done, std::optional<messages::attach_options> how,
                           caf::response_promise promise) {
  if (done && how) {
    promise.deliver(*how);
  } else {
    reply(promise, done);
  }
  if (done) {
    apply(event::granted);
  } else if (hardware_->last_guest()) {
    apply(event::grant_failed);
  } else { // Xen has refused, and nothing was touched; or it does not come back from D3, which a scrub may mend
    leave_pages(*domain_);
    apply(hardware_->stays_asleep() ? event::grant_failed : event::grant_refused);
  }
}

// Nothing has been done for it.
void device_state::forget_wish() {
  if (!is(phase::granted)) {
    domain_.reset();
    target_.reset();
    guest_.clear();
    all_->functions->idle.set_idle(address_);
  }
  static_cast<void>(note()); // or the next that is written of it would still tell of the wish
}

caf::result<void> device_state::revoke(messages::domain_id domain) {
  const auto answer = life_.answer(event::revoke);
  if (answer.contains(effect::agree)) {
    return {};
  }
  const bool others = (state() == function_state::granted || state() == function_state::inherited) && domain_ != domain;
  if (answer.contains(effect::refuse) || others) {
    return messages::to_error(refusal("revoked"));
  }
  auto promise = self_->make_response_promise();
  until_settled_.push_back(promise);
  apply(event::revoke);
  return promise;
}

caf::result<messages::lease> device_state::lease(const messages::lease_request& request) {
  // Before the promise, which takes the sender out of the message.
  auto holder = caf::actor_cast<caf::actor_addr>(self_->current_sender());
  auto promise = self_->make_response_promise();
  if (request.domain == 0) {
    promise.deliver(messages::to_error(dom0_is_no_guest()));
    return promise;
  }
  look_after_again();
  when_settled(event::lease, "leased", promise,
               [this, request, holder, promise] { lease_now(request, holder, promise); });
  return promise;
}

bool device_state::may_lease(messages::domain_id domain) const {
  return may(event::lease) && (is(phase::held) || domain_ == domain);
}

void device_state::lease_now(const messages::lease_request& request, caf::actor_addr holder,
                             caf::response_promise promise) {
  if (is(phase::inherited) && domain_ == request.domain) {
    return adopt(request, holder, promise);
  }
  if (!may_lease(request.domain)) {
    return refuse(promise, refusal("leased"));
  }
  if (const auto refused = reserved("leased", request.domain)) {
    return refuse(promise, *refused);
  }
  if (const auto refused = line_->refusal(*hardware_, policy_.in_force().line)) {
    return refuse(promise, *refused);
  }
  take_pages(hardware::guest_of(request.domain, request.target), promise,
             [this, request, holder, promise] { lease_pages(request, holder, promise); });
}

void device_state::lease_pages(const messages::lease_request& request, caf::actor_addr holder,
                               caf::response_promise promise) {
  if (!may_lease(request.domain)) {
    leave_pages(request.domain);
    return refuse(promise, refusal("leased"));
  }
  const bool granted = is(phase::granted);
  if (!granted && !use([this, request, holder, promise] { lease_pages(request, holder, promise); })) {
    return;
  }
  domain_ = request.domain;
  target_ = request.target;
  guest_ = request.guest;
  if (request.permissive) {
    policy_.permit_all();
  }
  if (const auto noted = note(); !noted) {
    policy_.end_lease();
    if (!granted) {
      leave_pages(request.domain);
    }
    forget_wish();
    return refuse(promise, not_noted("leased", noted.error()));
  }
  apply(event::lease, [this, request, holder, promise, granted] {
    auto begin = [device = hardware_, domain = request.domain, target = request.target, policy = policy_.in_force()] {
      return device->begin(domain, target, policy);
    };
    if (granted && !hardware_->must_rebind(hardware::guest_of(request.domain, request.target), policy_.in_force())) {
      static_cast<void>(begin());
      return lease_ready(request, holder, promise);
    }
    auto guarded = [device = hardware_, begin] {
      device->arm_guard(); // before the guest can have a pirq
      const auto woken = device->wake();
      auto begun = begin();
      return woken ? begun : woken;
    };
    on_hardware<void>(guarded, [this, request, holder, promise](const pci::result<void>& done) {
      if (!done) { // it has it all the same, as when it falls silent later, and the scrub that follows tells
        lease_log_.write(spdlog::level::err, "{}", pci::to_string(done.error()));
      }
      static_cast<void>(note()); // the holder
      lease_ready(request, holder, promise);
    });
  });
}

void device_state::lease_ready(const messages::lease_request& request, const caf::actor_addr& holder,
                               caf::response_promise promise) {
  const auto done = apply(event::lease_begun, [&] { serve(request, holder, promise); });
  if (!done.contains(effect::begin)) {
    promise.deliver(messages::to_error(refusal("leased")));
  }
}

void device_state::serve(const messages::lease_request& request, const caf::actor_addr& holder,
                         caf::response_promise promise) {
  if (all_->host.guards().state(address_) != pci::guard_state::armed) {
    lease_log_.write(spdlog::level::warn, "{}: its removal from dom0 would not wait for domain {}, and stop this host",
                     pci::to_string(address_), request.domain);
  }
  hardware_->set_policy(policy_.in_force()); // it may have been changed while the line was seen to
  ++lease_.number;
  serving_ = std::make_shared<serving>(hardware_, request.domain, serving_log_, note_changes());
  all_->events.route_line(address_, self_, line_);
  line_->begin(serving_, policy_.in_force().line);
  look_at_line();
  hand_out(holder, promise);
}

void device_state::hand_out(const caf::actor_addr& holder, caf::response_promise promise) {
  holder_ = holder;
  lease_.access = serving_;
  lease_.is_virtual_function = hardware_->description().is_virtual();
  lease_.bridges = hardware_->description().bridges;
  promise.deliver(lease_);
  if (const auto alive = caf::actor_cast<caf::strong_actor_ptr>(holder)) {
    self_->monitor(alive);
  } else {
    holder_down(holder);
  }
}

void device_state::place(messages::lease lease, const pci::sbdf& virtual_address) {
  if (state() == function_state::leased && lease.number == lease_.number) {
    virtual_address_ = virtual_address;
    lease_log_.write(spdlog::level::info, "{} is leased to domain {}, which sees it as {}", pci::to_string(address_),
                     *domain_, pci::to_string(virtual_address));
  }
}

// -- a guest that begins anew

// Not while the function is being reset, and waits for nothing: what the guest asks meanwhile is refused.
caf::result<void> device_state::renew(messages::lease lease) {
  if (state() != function_state::leased || lease.number != lease_.number || life_.removed()) {
    return {};
  }
  renewed_ = life_.busy() || serving_->suspended();
  if (!renewed_) {
    renew_now();
  }
  return {};
}

void device_state::renew_now() {
  const auto done = serving_->exclusively([](hardware& device) { return device.renew_guest(); });
  if (!done) {
    serving_log_->write(spdlog::level::warn, "{}: its guest begins anew, and not all that was on could be ended: {}",
                        pci::to_string(address_), pci::to_string(done.error()));
  }
  static_cast<void>(note());
}

} // namespace actors
