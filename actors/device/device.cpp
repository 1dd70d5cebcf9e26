// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/device/device.hpp"

#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/jobs.hpp"

namespace actors {

using messages::function_state;

device_state::~device_state() {
  if (line_) {
    all_->events.unroute_line(address_);
    is(phase::stopped) ? line_->leave() : line_->end();
    if (is(phase::stopped) && serving_) {
      static_cast<void>(note()); // another holder, perhaps; and for an earlier version, which has no words but these
    }
  }
  end_serving();
  let_go();
  if (all_) {
    all_->functions->idle.forget(address_);
  }
  const pci::failure ended{ECANCELED, fmt::format("{} is not held any more", pci::to_string(address_))};
  reply_all(until_settled_, tl::unexpected(ended));
  reply_all(until_rebound_, tl::unexpected(ended));
  waiting_promise_.deliver(messages::to_error(ended));
  until_quiet_.deliver(messages::to_error(ended));
}

// From here on the hardware is this actor's alone again.
void device_state::end_serving() {
  if (!serving_) {
    return;
  }
  serving_->end();
  const auto last = serving_->count();
  counts_.operations += last.operations;
  counts_.refused += last.refused;
  refused_ = refused_writes();
  serving_.reset();
}

void device_state::stop() { apply(event::stop); }

void device_state::open(environment_ptr all, const pci::sbdf& address, const settings::device& wanted,
                        device_services with) {
  all_ = std::move(all);
  with_ = std::move(with);
  address_ = address;
  line_ = std::make_shared<line>(all_, address);
  static_cast<void>(all_->functions->idle.use(address_));
  for (auto* log : {&error_log_, &lease_log_, serving_log_.get()}) {
    log->use(all_->host.time());
  }
  policy_ = {wanted.policy_with(*all_->configuration.now()), wanted.keep_policy};
  if (const auto known = all_->journal->find(address_)) {
    remember_guests(known->past_guests);
  }
}

pci::failure device_state::refusal(std::string_view wish) const {
  const auto whose = domain_ ? fmt::format("domain {} has it", *domain_) : fmt::format("it is {}", to_string(state()));
  return {EBUSY, fmt::format("{} cannot be {}: {}{}{}", pci::to_string(address_), wish, whose,
                             detail_.empty() ? "" : "; ", detail_)};
}

caf::result<void> device_state::hold(bool seize) {
  auto promise = self_->make_response_promise();
  until_settled_.push_back(promise);
  apply(event::hold, [this, seize] { take(seize); });
  return promise;
}

void device_state::take(bool seize) {
  on_hardware<std::shared_ptr<hardware>>([all = all_, address = address_, policy = policy_.now(),
                                          seize] { return hardware::take(*all, address, policy, seize); },
                                         [this](pci::result<std::shared_ptr<hardware>> taken) {
                                           if (!taken) {
                                             return not_taken(taken.error());
                                           }
                                           hardware_ = std::move(*taken);
                                           apply(event::taken);
                                         });
}

void device_state::not_taken(const pci::failure& why) {
  if (is(phase::taking)) {
    reply_all(until_settled_, tl::unexpected(why));
  } else if (is(phase::reclaiming)) {
    detail_ = pci::to_string(why);
    domain_.reset();
  }
  apply(event::not_taken);
}

void device_state::removed() {
  if (domain_) {
    // Unlimited: the host's doing.
    spdlog::warn("{} was removed from the host while domain {} had it", pci::to_string(address_), *domain_);
  }
  const auto vectors = mapped_vectors();
  if (serving_) {
    serving_->end();
  }
  // A guest's lease ends in order first: Xen still has the guest's pirqs.
  vectors != 0 ? lose(event::removed_in_use, vectors) : static_cast<void>(apply(event::removed));
}

void device_state::leave() { apply(event::leave); }

messages::device_actor::behavior_type device(device_state::self_pointer self, environment_ptr all, pci::sbdf address,
                                             settings::device wanted, device_services with) {
  behave(self);
  auto* state = &self->state;
  self->seen().is("device", pci::to_string(address));
  state->open(std::move(all), address, wanted, std::move(with));
  self->set_down_handler([state](caf::down_msg& down) {
    if (down.reason != caf::exit_reason::user_shutdown) { // else the daemon stops, and the guest keeps what it has
      state->holder_down(down.source);
    }
  });
  return {
      [state](messages::hold_atom, bool seize) { return state->hold(seize); },
      [state](messages::grant_atom, messages::domain_id domain) -> caf::result<void> {
        return state->grant(domain, {});
      },
      [state](messages::grant_atom, messages::domain_id domain, const messages::attach_options& how)
          -> caf::result<messages::attach_options> { return state->grant(domain, how); },
      [state](messages::revoke_atom, messages::domain_id domain) { return state->revoke(domain); },
      [state](messages::lease_atom, const messages::lease_request& request) { return state->lease(request); },
      [state](messages::place_atom, messages::lease lease, const pci::sbdf& virtual_address) {
        state->place(lease, virtual_address);
      },
      [state](messages::return_atom, messages::lease lease) { return state->return_lease(lease); },
      [state](messages::renew_atom, messages::lease lease) { return state->renew(lease); },
      [state](messages::unmapped_atom) { state->unmapped(); },
      [state](messages::ended_atom, messages::domain_id domain) { state->ended(domain); },
      [state](messages::line_atom) { state->look_at_line(); },
      [state](messages::look_atom, std::uint64_t number) { state->planned_look(number); },
      [state](messages::acknowledge_atom, bool on) { return state->acknowledge(on); },
      [state](messages::error_atom, const pci::error_tally& what) { state->error(what); },
      [state](messages::recover_atom, messages::lease lease, bool reset) { return state->recover(lease, reset); },
      [state](messages::recovered_atom, messages::lease lease, bool succeeded) { state->recovered(lease, succeeded); },
      [state](messages::waits_atom) { state->removal_waits(); },
      [state](messages::waits_atom, std::uint64_t lease) { state->guest_time_over(lease); },
      [state](messages::unbound_atom, bool some_time_ago) { state->unbound(some_time_ago); },
      [state](messages::removed_atom) { state->removed(); },
      [state](messages::leave_atom) { state->leave(); },
      [state](messages::status_atom) { return state->status(); },
      [state](messages::owner_atom) { return state->owner(); },
      [state](messages::policy_atom, const pci::policy_change& change) { return state->change_policy(change); },
      [state](messages::registers_atom) { return state->registers(); },
      [state](messages::config_atom) { return state->config(); },
      [state](messages::reload_atom, const pci::policy& policy, bool keep) { state->reload(policy, keep); },
      [state](messages::release_atom, bool probe) { return state->release(probe); },
      [state](messages::retry_atom) { return state->retry(); },
      [state](messages::wait_atom) { state->look_at_pirqs(); },
      [state](messages::again_atom, std::uint64_t number) { state->again(number); },
      [state](messages::quiet_atom) { state->reset_group_quiet(); },
      [state](messages::inherit_atom, messages::domain_id domain) { state->inherit(domain); },
      [state](messages::resumed_atom) { state->resumed(); },
      [state](messages::note_atom, bool at_once) { at_once ? state->note_again() : state->note_later(); },
      [state](messages::stop_atom) { state->stop(); },
  };
}

} // namespace actors
