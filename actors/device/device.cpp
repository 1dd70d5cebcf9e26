#include "actors/device/device.hpp"

#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/errand.hpp"

namespace actors {

using messages::function_state;

device_state::~device_state() {
  if (line_.active()) {
    all_->host.lines().ignore(address_);
  }
  end_serving();
  if (!stopping_) {
    let_go();
  }
  const pci::failure ended{ECANCELED, fmt::format("{} is not held any more", pci::to_string(address_))};
  for (auto& promise : until_settled_) {
    promise.deliver(messages::to_error(ended));
  }
  waiting_promise_.deliver(messages::to_error(ended));
  until_quiet_.deliver(messages::to_error(ended));
}

// A bug ends this actor while a guest has the function: only it knows the guest's pirqs, so it ends them.
void device_state::let_go() {
  if (!hardware_ || busy_ || (state_ != function_state::leased && state_ != function_state::granted)) {
    return;
  }
  for (pci::scrub where; where.current() <= pci::scrub_step::withdraw && !where.finished();) {
    where.advance(hardware_->perform(where.current()).has_value());
  }
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
  serving_.reset();
}

void device_state::stop() {
  stopping_ = true;
  self_->quit();
}

void device_state::open(environment_ptr all, const pci::sbdf& address) {
  all_ = std::move(all);
  address_ = address;
  error_log_.use(all_->host.time());
  const auto& devices = all_->configuration.devices;
  if (const auto found = devices.find(address); found != devices.end()) {
    policy_ = found->second.policy;
  }
}

pci::failure device_state::refusal(std::string_view wish) const {
  const auto whose = domain_ ? fmt::format("domain {} has it", *domain_) : fmt::format("it is {}", to_string(state_));
  return {EBUSY, fmt::format("{} cannot be {}: {}{}{}", pci::to_string(address_), wish, whose,
                             detail_.empty() ? "" : "; ", detail_)};
}

// -- taking and giving back

caf::result<void> device_state::hold(bool seize) {
  auto promise = self_->make_response_promise();
  busy_ = true;
  run_errand<std::shared_ptr<hardware>>(
      *all_, self_,
      [all = all_, address = address_, policy = policy_, seize] {
        return hardware::take(all->host, address, policy, seize);
      },
      [this, promise](pci::result<std::shared_ptr<hardware>> taken) mutable {
        if (!taken) {
          promise.deliver(messages::to_error(taken.error()));
          self_->quit();
          return;
        }
        hardware_ = std::move(*taken);
        until_settled_.push_back(promise);
        scrub();
      });
  return promise;
}

caf::result<void> device_state::release() {
  const auto idle =
      state_ == function_state::held || state_ == function_state::failed || state_ == function_state::gone;
  if (!idle || busy_) {
    return messages::to_error(refusal("released"));
  }
  auto promise = self_->make_response_promise();
  busy_ = true;
  state_ = function_state::holding;
  run_errand<void>(
      *all_, self_, [device = hardware_] { return device->release(); },
      [this, promise](const pci::result<void>& done) mutable {
        reply(promise, done);
        self_->quit();
      });
  return promise;
}

void device_state::removed() {
  if (domain_) {
    spdlog::warn("{} was removed from the host while domain {} had it", pci::to_string(address_), *domain_);
  }
  removed_ = true;
  if (serving_) {
    serving_->end();
  }
  // A guest's lease ends in order first: Xen still has the guest's pirqs.
  if (state_ == function_state::held || state_ == function_state::failed) {
    state_ = function_state::gone;
  }
}

// -- waiting for the function to be clean

// A guest that is restarted asks for its function while the last scrub still runs: it waits. One only: the next is
// refused.
void device_state::when_settled(std::string_view wish, caf::response_promise promise, action then) {
  const auto settling = state_ == function_state::holding || state_ == function_state::scrubbing;
  if (!settling && !busy_) {
    then();
  } else if (waiting_) {
    promise.deliver(messages::to_error(refusal(wish)));
  } else {
    waiting_ = std::move(then);
    waiting_promise_ = std::move(promise);
  }
}

void device_state::settled() {
  auto promises = std::exchange(until_settled_, {});
  for (auto& promise : promises) {
    reply(promise, state_ == function_state::held
                       ? pci::result<void>{}
                       : pci::fail(EIO, fmt::format("{} is not clean: {}", pci::to_string(address_), detail_)));
  }
  waiting_promise_ = {};
  if (auto next = std::exchange(waiting_, nullptr)) {
    next();
  }
}

void device_state::scrub() {
  state_ = function_state::scrubbing;
  busy_ = true;
  // The quick steps, which end the guest's hold on the host, are done before this returns; the slow ones by an errand.
  pci::scrub where;
  std::string detail;
  for (const auto last = pci::scrub_step::end_messages; where.current() <= last && !where.finished();) {
    const auto step = where.current();
    const auto done = hardware_->perform(step);
    if (!done && detail.empty()) {
      detail = fmt::format("{}: {}", to_string(step), pci::to_string(done.error()));
    }
    where.advance(done.has_value());
  }
  run_errand<scrub_outcome>(
      *all_, self_,
      [device = hardware_, where, detail]() -> pci::result<scrub_outcome> { return run_scrub(*device, where, detail); },
      [this](const pci::result<scrub_outcome>& outcome) {
        scrubbed(outcome ? *outcome : scrub_outcome{false, pci::to_string(outcome.error())});
      });
}

device_state::scrub_outcome device_state::run_scrub(hardware& device, pci::scrub where, std::string detail) {
  while (!where.finished()) {
    const auto step = where.current();
    const auto done = device.perform(step);
    // A function without any reset method is common, and no news.
    if (!done && detail.empty() && done.error().error != ENOTSUP) {
      detail = fmt::format("{}: {}", to_string(step), pci::to_string(done.error()));
    }
    where.advance(done.has_value());
  }
  return {where.current() == pci::scrub_step::done, detail};
}

void device_state::scrubbed(const scrub_outcome& outcome) {
  busy_ = false;
  detail_ = outcome.detail;
  state_ = removed_ ? function_state::gone : outcome.clean ? function_state::held : function_state::failed;
  domain_.reset();
  virtual_address_.reset();
  if (removed_) {
    spdlog::info("{} is gone from the host", pci::to_string(address_));
  } else if (!outcome.clean) {
    spdlog::error("{} is not clean and is not handed out again: {}", pci::to_string(address_), outcome.detail);
  } else if (!outcome.detail.empty()) {
    spdlog::warn("{} is clean, although {}", pci::to_string(address_), outcome.detail);
  } else {
    spdlog::info("{} is clean", pci::to_string(address_));
  }
  settled();
}

// -- grants and leases

caf::result<void> device_state::grant(messages::domain_id domain) {
  auto promise = self_->make_response_promise();
  when_settled("granted", promise, [this, domain, promise] { grant_now(domain, promise); });
  return promise;
}

void device_state::grant_now(messages::domain_id domain, caf::response_promise promise) {
  if (state_ != function_state::held) {
    promise.deliver(messages::to_error(refusal("granted")));
    return;
  }
  busy_ = true;
  domain_ = domain;
  state_ = function_state::granted;
  run_errand<void>(
      *all_, self_, [device = hardware_, domain] { return device->grant(domain); },
      [this, promise](const pci::result<void>& done) mutable {
        busy_ = false;
        if (!done) {
          scrub();
        }
        reply(promise, done);
        if (done) {
          settled();
        }
      });
}

caf::result<void> device_state::revoke(messages::domain_id domain) {
  if (busy_ && state_ == function_state::scrubbing) {
    auto promise = self_->make_response_promise();
    until_settled_.push_back(promise);
    return promise;
  }
  if (state_ == function_state::held) {
    return {};
  }
  if (state_ != function_state::granted || domain_ != domain || busy_) {
    return messages::to_error(refusal("revoked"));
  }
  auto promise = self_->make_response_promise();
  until_settled_.push_back(promise);
  scrub();
  return promise;
}

caf::result<messages::lease> device_state::lease(const messages::lease_request& request) {
  // Before the promise, which takes the sender out of the message.
  auto holder = caf::actor_cast<caf::actor_addr>(self_->current_sender());
  auto promise = self_->make_response_promise();
  when_settled("leased", promise, [this, request, holder, promise] { lease_now(request, holder, promise); });
  return promise;
}

void device_state::lease_now(const messages::lease_request& request, caf::actor_addr holder,
                             caf::response_promise promise) {
  const auto granted = state_ == function_state::granted && domain_ == request.domain;
  if (state_ != function_state::held && !granted) {
    promise.deliver(messages::to_error(refusal("leased")));
    return;
  }
  busy_ = true;
  state_ = function_state::leased;
  domain_ = request.domain;
  auto policy = policy_;
  policy.permissive = policy.permissive || request.permissive;
  permissive_ = policy.permissive;
  auto begin = [device = hardware_, domain = request.domain, policy] { return device->begin(domain, policy); };
  if (!hardware_->must_rebind()) {
    static_cast<void>(begin());
    lease_ready(request, holder, promise);
    return;
  }
  run_errand<void>(*all_, self_, begin, [this, request, holder, promise](const pci::result<void>&) {
    lease_ready(request, holder, promise);
  });
}

void device_state::lease_ready(const messages::lease_request& request, const caf::actor_addr& holder,
                               caf::response_promise promise) {
  busy_ = false;
  holder_ = holder;
  ++lease_.number;
  serving_ = std::make_shared<serving>(hardware_, request.domain, all_->host.time());
  lease_.config = serving_;
  lease_.is_virtual_function = hardware_->description().is_virtual();
  begin_line();
  spdlog::info("{} is leased to domain {}", pci::to_string(address_), request.domain);
  promise.deliver(lease_);
  if (const auto alive = caf::actor_cast<caf::strong_actor_ptr>(holder)) {
    self_->monitor(alive);
  } else {
    holder_down(holder);
  }
}

void device_state::place(messages::lease lease, const pci::sbdf& virtual_address) {
  if (state_ == function_state::leased && lease.number == lease_.number) {
    virtual_address_ = virtual_address;
  }
}

caf::result<void> device_state::return_lease(messages::lease lease) {
  if (state_ == function_state::leased && lease.number == lease_.number) {
    take_back();
    if (after_reset_) {
      return until_quiet_ = self_->make_response_promise();
    }
  }
  return {};
}

void device_state::holder_down(const caf::actor_addr& holder) {
  if (state_ == function_state::leased && holder == holder_) {
    spdlog::warn("{}: the actor of domain {} ended without returning its lease", pci::to_string(address_),
                 domain_.value_or(0));
    take_back();
  }
}

void device_state::take_back() {
  self_->demonitor(holder_);
  holder_ = nullptr;
  ++lease_.number; // what is still in a mailbox belongs to no lease
  end_serving();
  if (line_.active()) {
    all_->host.lines().ignore(address_);
  }
  line_.end();
  if (busy_) { // the function is being reset for the guest that gives it back
    state_ = function_state::scrubbing;
    after_reset_ = [this] { scrub(); };
  } else {
    scrub();
  }
}

void device_state::ended(messages::domain_id domain) {
  if (state_ == function_state::granted && domain_ == domain && !busy_) {
    scrub();
  }
}

// -- serving the guest

pci::answer device_state::operate(messages::lease lease, const pci::request& what) {
  if (state_ != function_state::leased || lease.number != lease_.number || removed_) {
    return {pci::op_error::dev_not_found, what.value, {}};
  }
  return serving_->operate(what);
}

// -- the shared line

void device_state::begin_line() {
  line_.begin(hardware_->line(), hardware_->has_handler());
  if (!line_.active()) {
    return;
  }
  if (auto listening = all_->host.lines().listen(address_); !listening) {
    spdlog::warn("{}: {}", pci::to_string(address_), pci::to_string(listening.error()));
    line_.end();
  }
}

void device_state::interrupt() {
  if (!serving_ || busy_) { // after a reset the line is open again
    return;
  }
  serving_->exclusively([this](hardware& device) {
    if (line_.interrupt(device.interrupts().mode() != pci::interrupt_mode::intx)) {
      device.unmask_intx();
    }
  });
}

caf::result<void> device_state::acknowledge(bool on) {
  if (!line_.active()) {
    return messages::to_error({ENODEV, fmt::format("{} has no acknowledging handler: {}", pci::to_string(address_),
                                                   pci::to_string(line_.decision()))});
  }
  if (busy_) {
    return messages::to_error(refusal("switched while it is being reset"));
  }
  serving_->exclusively([this, on](hardware& device) {
    if (line_.set_enabled(on, device.interrupts().mode() != pci::interrupt_mode::intx)) {
      device.unmask_intx();
    }
  });
  return {};
}

// -- looking

messages::function_status device_state::status() const {
  messages::function_status status;
  status.address = address_;
  status.state = state_;
  status.detail = detail_;
  status.domain = domain_;
  status.virtual_address = virtual_address_;
  const auto now = serving_ ? serving_->count() : serving::counts{};
  status.operations = counts_.operations + now.operations;
  status.refused = counts_.refused + now.refused;
  status.permissive = state_ == function_state::leased ? permissive_ : policy_.permissive;
  status.line = line_.decision();
  status.acknowledging = line_.active() && line_.enabled();
  status.acknowledged = line_.handled();
  status.errors = errors_;
  if (hardware_) {
    const auto& description = hardware_->description();
    status.vendor = description.vendor;
    status.device = description.device;
    status.class_code = description.class_code;
    status.gsi = description.irq;
  }
  // Only a guest has message interrupts.
  if (serving_) {
    serving_->exclusively([&status](const hardware& device) {
      status.mode = device.interrupts().mode();
      const auto vectors = device.interrupts().vectors();
      status.vectors.assign(vectors.begin(), vectors.end());
    });
  }
  return status;
}

messages::device_actor::behavior_type device(device_state::self_pointer self, environment_ptr all, pci::sbdf address) {
  behave(self);
  auto* state = &self->state;
  state->open(std::move(all), address);
  self->set_down_handler([state](caf::down_msg& down) { state->holder_down(down.source); });
  return {
      [state](messages::hold_atom, bool seize) { return state->hold(seize); },
      [state](messages::grant_atom, messages::domain_id domain) { return state->grant(domain); },
      [state](messages::revoke_atom, messages::domain_id domain) { return state->revoke(domain); },
      [state](messages::lease_atom, const messages::lease_request& request) { return state->lease(request); },
      [state](messages::place_atom, messages::lease lease, const pci::sbdf& virtual_address) {
        state->place(lease, virtual_address);
      },
      [state](messages::return_atom, messages::lease lease) { return state->return_lease(lease); },
      [state](messages::operate_atom, messages::lease lease, const pci::request& what) {
        return state->operate(lease, what);
      },
      [state](messages::ended_atom, messages::domain_id domain) { state->ended(domain); },
      [state](messages::interrupt_atom) { state->interrupt(); },
      [state](messages::acknowledge_atom, bool on) { return state->acknowledge(on); },
      [state](messages::error_atom, const pci::error_tally& what) { state->error(what); },
      [state](messages::recover_atom, messages::lease lease, bool reset) { return state->recover(lease, reset); },
      [state](messages::recovered_atom, messages::lease lease, bool succeeded) { state->recovered(lease, succeeded); },
      [state](messages::removed_atom) { state->removed(); },
      [state](messages::status_atom) { return state->status(); },
      [state](messages::release_atom) { return state->release(); },
      [state](messages::stop_atom) { state->stop(); },
  };
}

} // namespace actors
