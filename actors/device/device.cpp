// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/device/device.hpp"

#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/jobs.hpp"
#include "actors/xenstore/sure_reads.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"

namespace actors {

using messages::function_state;

namespace {

using namespace std::chrono_literals;

constexpr auto journal_pause = 5s; // before what could not be written is tried again
constexpr auto note_pause = 100ms; // before that is tried for the first time

} // namespace

device_state::~device_state() {
  if (line_) {
    all_->events.unroute_line(address_);
    is(phase::stopped) ? line_->leave() : line_->end();
    if (is(phase::stopped) && serving_) {
      static_cast<void>(note()); // another holder, perhaps
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

void device_state::stop() {
  if (serving_) { // an earlier version reads what the guest has written in the record
    static_cast<void>(note());
  }
  apply(event::stop);
}

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

// -- taking and giving back

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

// -- the journal

pci::result<void> device_state::note(bool granting) {
  const bool acknowledging = line_->enabled();
  // A guest may change its interrupts meanwhile: the journal must say last what is the case last.
  const std::lock_guard lock(noted_->mutex);
  auto what = serving_ ? serving_->record() : hardware_->record();
  what.domain = domain_ ? domain_ : what.domain;
  what.target = target_ ? target_ : what.target;
  what.granted = what.granted || granting || state() == function_state::granted;
  what.permissive = inherited_ ? inherited_->permissive : policy_.in_force().permissive;
  what.acknowledging = acknowledging;
  for (const auto& each : past_guests_) {
    what.past_guests.push_back(each.domain);
  }
  auto noted = all_->journal->note(what);
  noted_->last = std::move(what);
  if (!noted) {
    plan_note(journal_pause);
  }
  return noted;
}

serving::listeners device_state::note_changes() {
  const auto self = messages::device_actor(self_);
  serving::listeners told;
  told.interrupts_changed = [noted = noted_, journal = all_->journal, self](const function_record& now) {
    const std::lock_guard lock(noted->mutex);
    auto& last = noted->last;
    last.mode = now.mode;
    last.vectors = now.vectors;
    last.command = now.command;
    last.decoding = now.decoding;
    if (!journal->note(last)) {
      caf::anon_send(self, messages::note_atom_v, false);
    }
  };
  told.state_changed = [row = all_->journal->row(address_), domain = *domain_](const pci::guest_state& now) mutable {
    row.keep(domain, now);
  };
  told.failed = [self] { caf::anon_send_exit(self, caf::exit_reason::kill); };
  return told;
}

// One at a time: a guest can cause them.
void device_state::plan_note(platform::clock::duration delay) {
  if (!std::exchange(noting_, true)) {
    self_->delayed_send(self_, delay, messages::note_atom_v, true);
  }
}

void device_state::note_later() { plan_note(note_pause); }

void device_state::note_again() {
  noting_ = false;
  if (serving_) {
    static_cast<void>(note());
  }
  if (!all_->journal->flush()) {
    plan_note(journal_pause);
  }
}

pci::failure device_state::not_noted(std::string_view wish, const pci::failure& why) const {
  return {why.error, fmt::format("{} cannot be {}: a daemon that starts after this one would not know of it, for the "
                                 "journal cannot be written ({}); try again when it can",
                                 pci::to_string(address_), wish, pci::to_string(why))};
}

caf::result<void> device_state::release(bool probe) {
  const auto answer = life_.answer(event::release);
  if (answer.contains(effect::end)) { // what is at the address now, if anything, is another function
    apply(event::release);
    return {};
  }
  if (!answer.contains(effect::begin)) {
    return messages::to_error(refusal("released"));
  }
  for (const auto& refused : {reserved("released", {}), reached_by_guests()}) {
    if (refused) {
      return messages::to_error(*refused);
    }
  }
  // It could not be taken from the guest of an earlier instance, which may live on.
  if (!hardware_ && inherited_ && inherited_->domain && !gone(*all_, *inherited_->domain)) {
    return messages::to_error(
        {EBUSY, fmt::format("{} cannot be released: domain {} still has it; `pcibackctl retry {}` "
                            "takes it back",
                            pci::to_string(address_), *inherited_->domain, pci::to_string(address_))});
  }
  auto promise = self_->make_response_promise();
  if (use([this, probe, promise] { release_now(probe, promise); })) {
    release_now(probe, promise);
  }
  return promise;
}

// A guest that Xen still has it with would go on using it beside dom0's driver.
void device_state::release_now(bool probe, caf::response_promise promise) {
  const auto done = apply(event::release, [this, probe, promise] {
    is(phase::withdrawing) ? withdraw(probe, promise) : give_back(probe, promise);
  });
  if (done.contains(effect::end)) {
    promise.deliver(caf::unit);
  } else if (!done.contains(effect::begin)) {
    refuse(promise, refusal("released"));
  }
}

void device_state::withdraw(bool probe, caf::response_promise promise) {
  if (!hardware_->last_guest()) {
    return withdrawn({}, probe, promise);
  }
  on_hardware<void>([device = hardware_] { return device->take_from_guest(); },
                    [this, probe, promise](const pci::result<void>& taken) { withdrawn(taken, probe, promise); });
}

void device_state::withdrawn(const pci::result<void>& taken, bool probe, caf::response_promise promise) {
  if (!taken && taken.error().error != ENODEV) {
    promise.deliver(messages::to_error(
        {EBUSY, fmt::format("{} cannot be released: its last guest still has it ({}); `pcibackctl retry {}` "
                            "tries again, and the end of that guest helps in any case",
                            pci::to_string(address_), pci::to_string(taken.error()), pci::to_string(address_))}));
    apply(event::not_withdrawn);
    return;
  }
  const auto done = apply(event::withdrawn, [this, probe, promise] { give_back(probe, promise); });
  if (done.contains(effect::begin)) {
    return;
  }
  // What has vanished nobody has.
  is(phase::ended) ? promise.deliver(caf::unit) : release_now(probe, promise);
}

// A toolstack that hands it out at this moment says so before it gives anything.
void device_state::give_back(bool probe, caf::response_promise promise) {
  on_hardware<give_back_outcome>(
      [all = all_, address = address_, device = hardware_,
       reference = inherited_ ? inherited_->function : pci::function{}, probe]() -> pci::result<give_back_outcome> {
        using claimant = std::optional<messages::domain_id>;
        const auto last = device ? device->last_guest() : std::nullopt;
        const auto next = with_sure_reads(all->host.xenstore(), [&address](platform::store& store) {
          return pci::result<claimant>(claimed_by(store, address));
        });
        if (!next) {
          return give_back_outcome{.why = next.error(), .kept = true};
        }
        if (*next && *next != last) {
          return give_back_outcome{.claimant = *next};
        }
        const auto done = device ? device->release(probe) : hardware::give_back(all->host, reference, probe);
        return done ? give_back_outcome{}
                    : give_back_outcome{.why = done.error(), .kept = device && device->bind_again()};
      },
      [this, promise](const pci::result<give_back_outcome>& done) {
        given_back(done ? *done : give_back_outcome{.why = done.error()}, promise);
      });
}

void device_state::given_back(const give_back_outcome& done, caf::response_promise promise) {
  if (const auto next = done.claimant) {
    promise.deliver(
        messages::to_error({EBUSY, fmt::format("{} cannot be released: domain {} gets it; `xl "
                                               "pci-detach {} {}` takes it from that guest",
                                               pci::to_string(address_), *next, *next, pci::to_string(address_))}));
    apply(event::claimed);
    return;
  }
  // What has vanished from the host meanwhile, and nobody has told, is released by that.
  const bool released = !done.why || done.why->error == ENODEV;
  if (released && state() != function_state::gone) {
    all_->journal->forget(address_);
  }
  reply(promise, released ? pci::result<void>{} : tl::unexpected(*done.why));
  apply(!released && done.kept ? event::not_given_back : event::given_back);
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

// -- looking

messages::function_status device_state::status() const {
  messages::function_status status;
  status.address = address_;
  status.state = state();
  status.detail = detail_.empty() ? std::string{recovery_} : detail_;
  for (const auto& each : living_guests()) {
    status.last_guests.push_back(each.domain);
  }
  if (state() == function_state::held && status.detail.empty()) {
    status.detail = tell_of_last_guests();
    status.reserved = reserved("handed out", {}).has_value();
  }
  if (state() == function_state::held && status.detail.empty() && !life_.busy()) {
    status.detail = hardware_->note(all_->functions->idle.was_reset(address_));
  }
  status.domain = domain_;
  status.target = target_;
  status.guest = guest_;
  status.virtual_address = virtual_address_;
  const auto now = serving_ ? serving_->count() : serving::counts{};
  status.operations = counts_.operations + now.operations;
  status.refused = counts_.refused + now.refused;
  describe_policy(status);
  if (hardware_ && !life_.busy()) {
    status.line = pci::decide({.facts = hardware_->line(), .policy = policy_.in_force().line}).decision;
  }
  line_->describe(status);
  status.errors = errors_;
  if (in_use()) {
    status.handler = in_use()->has_handler();
  }
  status.guard = all_->host.guards().state(address_);
  if (hardware_) {
    status.notes = hardware_->notes();
    const auto& description = hardware_->description();
    status.vendor = description.vendor;
    status.device = description.device;
    status.class_code = description.class_code;
    status.gsi = description.irq;
  }
  if (inherited_) {
    const auto& known = *inherited_;
    status.vendor = known.function.vendor;
    status.device = known.function.device;
    status.class_code = known.function.class_code;
    status.gsi = known.function.irq;
    status.mode = known.mode;
    status.vectors = known.vectors;
    status.permissive = known.permissive;
  }
  describe_sharing(status);
  if (hardware_ && !life_.busy() && hardware_->msix_refused()) {
    const auto told = "without MSI-X: " + pci::to_string(*hardware_->msix_refused());
    status.notes.push_back(told);
    status.detail = status.detail.empty() ? told : status.detail;
  }
  // Only a guest has message interrupts.
  if (serving_) {
    auto now = serving_->record();
    status.mode = now.mode;
    status.vectors = std::move(now.vectors);
  }
  return status;
}

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
