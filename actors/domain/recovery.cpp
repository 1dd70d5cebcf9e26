// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/domain/recovery.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/jobs.hpp"
#include "actors/xenstore/backend_nodes.hpp"

namespace actors {
namespace {

using namespace std::chrono_literals;
using step_kind = pci::recovery_step::kind;

// The kernel resets a bus in one or two seconds; a function has a minute to come back, but is waited for by nobody
// then.
constexpr auto host_patience = 10s;

std::string_view to_string(pci::error_policy policy) {
  switch (policy) {
  case pci::error_policy::kill:
    return "the guest is stopped";
  case pci::error_policy::detach:
    return "the function is taken from it";
  case pci::error_policy::log:
    break;
  }
  return "nothing is done";
}

} // namespace

void recovery::open(messages::domain_actor::pointer self, environment_ptr all, messages::root_actor root,
                    messages::domain_id domain, std::shared_ptr<guest_limits> limits, taker take) {
  self_ = self;
  all_ = std::move(all);
  root_ = std::move(root);
  domain_ = domain;
  limits_ = std::move(limits);
  take_ = std::move(take);
}

void recovery::connected(std::shared_ptr<connection> guest) { guest_ = std::move(guest); }

void recovery::disconnected() {
  guest_.reset();
  asking_.reset();
  waiting_.clear();
  std::vector<pci::sbdf> all;
  for (const auto& [host, each] : recoveries_) {
    all.push_back(host);
  }
  for (const auto& host : all) {
    advance(host, recoveries_.at(host).machine.disconnected());
  }
}

void recovery::error(const messages::function_error& what, const function& where) {
  if (ending_.contains(what.address)) {
    return;
  }
  if (where.target) {
    return tell(what, where);
  }
  auto found = recoveries_.find(what.address);
  if (found == recoveries_.end()) {
    if (!what.how) {
      return;
    }
    limits_->log.write(spdlog::level::warn,
                       "domain {}: {} had an error, and the guest's driver is asked to recover it ({})", domain_,
                       pci::to_string(what.address), pci::to_string(*what.how));
    found = recoveries_.try_emplace(what.address, ongoing{where, {}, {}, {}, all_->journal->row(what.address)}).first;
  }
  if (what.how) {
    const pci::recovery::guest who{guest_ != nullptr, guest_ && guest_->has_aer_handler(), what.in_use};
    advance(what.address, found->second.machine.error(*what.how, who));
  }
  // Looked for again: the step may have ended the recovery.
  if (found = recoveries_.find(what.address); what.host_ended && found != recoveries_.end()) {
    advance(what.address, found->second.machine.host_ended());
  }
}

void recovery::forget_saved(const pci::sbdf& host) {
  if (!recoveries_.contains(host)) {
    all_->journal->row(host).forget_recovery();
  }
}

void recovery::forget(const pci::sbdf& host) {
  ending_.erase(host);
  const auto found = recoveries_.find(host);
  if (found == recoveries_.end()) {
    return;
  }
  found->second.row.forget_recovery();
  recoveries_.erase(found);
  std::erase(waiting_, host);
  if (asking_ == host) {
    asking_.reset();
    if (guest_) {
      guest_->withdraw();
    }
    ask_next();
  }
}

bool recovery::take_answer() {
  const auto answer = guest_ && asking_ ? guest_->take_answer() : std::nullopt;
  if (!answer) {
    return false;
  }
  const auto host = *std::exchange(asking_, std::nullopt);
  auto& whose = recoveries_.at(host);
  whose.timer.reset();
  advance(host, whose.machine.answered(*answer));
  ask_next();
  return true;
}

void recovery::waited_out(std::uint64_t timer) {
  const auto found = std::find_if(recoveries_.begin(), recoveries_.end(),
                                  [&](const auto& each) { return each.second.timer == timer; });
  // An answer may be there whose event is still on its way.
  if (found == recoveries_.end() || (asking_ == found->first && take_answer())) {
    return;
  }
  const auto host = found->first;
  found->second.timer.reset();
  if (asking_ == host) {
    asking_.reset();
    guest_->withdraw();
  }
  advance(host, found->second.machine.timed_out());
  ask_next();
}

// Written before anything is done, so that a daemon that follows does it again rather than not at all.
void recovery::save(const pci::sbdf& host) {
  auto& whose = recoveries_.at(host);
  if (whose.machine.current() == pci::recovery::state::idle) {
    whose.row.forget_recovery();
  } else {
    whose.row.keep(domain_, saved_recovery{whose.machine, whose.where.policy, asking_ == host});
  }
}

// What it has asked the guest stands in the page, or the answer does, unless it was killed before it could ask.
void recovery::resume(const saved_recovery& what, const function& where) {
  const auto host = where.lease.access->address();
  limits_->log.write(spdlog::level::warn, "domain {}: the recovery of {} continues", domain_, pci::to_string(host));
  auto& whose =
      recoveries_.try_emplace(host, ongoing{where, what.machine, {}, {}, all_->journal->row(host)}).first->second;
  const auto step = what.machine.repeated();
  if (step.what != step_kind::ask || asking_ ||
      !guest_->adopt_request(what.asked, step.request, where.virtual_address)) {
    return advance(host, step);
  }
  whose.request = step;
  asking_ = host;
  save(host);
  start_timer(whose, all_->configuration->aer_patience);
  static_cast<void>(take_answer());
}

void recovery::advance(const pci::sbdf& host, const pci::recovery_step& step) {
  save(host);
  switch (step.what) {
  case step_kind::none:
    return;
  case step_kind::ask:
    return ask(host, step);
  case step_kind::wait_for_host:
    return start_timer(recoveries_.at(host), host_patience);
  case step_kind::restore:
  case step_kind::reset_and_restore:
    return restore(host, step.what == step_kind::reset_and_restore);
  case step_kind::recovered:
    return finish(host, std::nullopt);
  case step_kind::failed:
    return finish(host, step.why);
  }
}

// -- the page

void recovery::ask(const pci::sbdf& host, const pci::recovery_step& step) {
  recoveries_.at(host).request = step;
  waiting_.push_back(host);
  ask_next();
}

void recovery::ask_next() {
  if (asking_ || waiting_.empty() || !guest_) {
    return;
  }
  const auto host = waiting_.front();
  waiting_.pop_front();
  asking_ = host;
  auto& whose = recoveries_.at(host);
  guest_->ask(whose.request.request, whose.request.state, whose.where.virtual_address);
  save(host);
  start_timer(whose, all_->configuration->aer_patience);
}

void recovery::start_timer(ongoing& whose, std::chrono::milliseconds time) {
  whose.timer = ++timers_;
  self_->delayed_send(messages::domain_actor(self_), time, messages::recover_atom_v, timers_);
}

// -- the function

void recovery::restore(const pci::sbdf& host, bool reset) {
  auto& whose = recoveries_.at(host);
  whose.timer = ++timers_; // no time runs; the number tells this recovery from a later one of the function's
  const auto done = [this, host, number = timers_](bool succeeded) {
    const auto found = recoveries_.find(host);
    if (found != recoveries_.end() && found->second.timer == number) {
      found->second.timer.reset();
      advance(host, found->second.machine.restored(succeeded));
    }
  };
  // No time-out: the kernel bounds a reset, and the guest is not asked meanwhile.
  self_->request(whose.where.device, caf::infinite, messages::recover_atom_v, whose.where.lease, reset)
      .then([done] { done(true); },
            [this, done](caf::error& error) {
              const auto why = messages::to_failure(error, "the function's actor ended");
              // The function is being taken from the guest, or the daemon stops, and the next one goes on with this.
              if (why.error != ECANCELED) {
                limits_->log.write(spdlog::level::err, "domain {}: {}", domain_, pci::to_string(why));
                done(false);
              }
            });
}

void recovery::finish(const pci::sbdf& host, std::optional<pci::recovery_failure> why) {
  const auto where = recoveries_.at(host).where;
  recoveries_.erase(host);
  std::erase(waiting_, host);
  self_->send(where.device, messages::recovered_atom_v, where.lease, !why.has_value());
  if (why) {
    return punish(host, where.policy, *why);
  }
  limits_->log.write(spdlog::level::info, "domain {}: {} has recovered", domain_, pci::to_string(host));
}

// -- the device model's

// A device model passes no errors on, so that nobody in the HVM guest can recover the function; and what is written
// into it here would be written under its driver. One that has lost its configuration, in the kernel's reset of the
// bus, is of no use to the guest any more: then the policy says what is to be done, to the guest and not to its stub
// domain.
void recovery::tell(const messages::function_error& what, const function& where) {
  if (!what.how) {
    return;
  }
  self_->send(where.device, messages::recovered_atom_v, where.lease, false);
  const auto address = pci::to_string(what.address);
  const bool lost = *what.how == pci::channel_state::frozen;
  if (lost && where.policy == pci::error_policy::kill) {
    limits_->recovery_log.write(spdlog::level::err, "{} was reset under HVM guest {} because of an error: {}", address,
                                *where.target, to_string(where.policy));
    ending_.insert(what.address);
    return kill(what.address, *where.target);
  }
  limits_->recovery_log.write(
      spdlog::level::err,
      "{}, which HVM guest {} has, {}, and is left as it is: `xl pci-detach` takes it from the guest", address,
      *where.target, lost ? "was reset because of an error" : "had an error");
}

// -- the policy

void recovery::punish(const pci::sbdf& host, pci::error_policy policy, pci::recovery_failure why) {
  limits_->recovery_log.write(spdlog::level::err, "domain {} does not recover {} from its error: {}; {}", domain_,
                              pci::to_string(host), pci::to_string(why), to_string(policy));
  if (policy == pci::error_policy::log) {
    return;
  }
  ending_.insert(host);
  policy == pci::error_policy::kill ? kill(host, domain_) : detach(host);
}

// The node is all that the kernel's backend does (spec 8.4). In one job, so that it is there before a toolstack that
// hears of the crash removes the directory.
void recovery::kill(const pci::sbdf& host, messages::domain_id whom) {
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, domain = domain_, whom] {
        static_cast<void>(write_aer_state(all->host.xenstore(), domain));
        return all->host.xen().crash(whom);
      },
      [this, host, whom](const pci::result<void>& stopped) {
        if (!stopped) {
          ending_.erase(host);
          limits_->recovery_log.write(spdlog::level::err, "domain {} cannot be stopped: {}", whom,
                                      pci::to_string(stopped.error()));
        }
      });
}

void recovery::detach(const pci::sbdf& host) {
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, domain = domain_] { return write_aer_state(all->host.xenstore(), domain); },
      [](const pci::result<void>&) {});
  self_->request(root_, caf::infinite, messages::detach_atom_v, domain_, host)
      .then([] {},
            [this, host](caf::error& error) {
              const auto why = messages::to_failure(error, "the daemon is stopping");
              limits_->recovery_log.write(spdlog::level::err,
                                          "domain {}: {}; the function is taken from it without asking", domain_,
                                          pci::to_string(why));
              take_(host);
            });
}

} // namespace actors
