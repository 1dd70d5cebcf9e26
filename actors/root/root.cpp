// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/root/root.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/control/survey.hpp"
#include "actors/device/device.hpp"
#include "actors/device/line_clock.hpp"
#include "actors/jobs.hpp"
#include "actors/pump/pump.hpp"
#include "actors/root/attachment.hpp"
#include "actors/root/drain.hpp"
#include "actors/xenstore/sure_reads.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"

namespace actors {
namespace {

using namespace std::chrono_literals;

constexpr auto status_patience = 2s;

/// Collects the answers of many; delivers when the last reference, held by the last answer's handler, goes.
struct collection {
  messages::overview all;
  caf::response_promise promise;
  ~collection() {
    std::sort(all.functions.begin(), all.functions.end(),
              [](const auto& a, const auto& b) { return a.address < b.address; });
    std::sort(all.domains.begin(), all.domains.end(), [](const auto& a, const auto& b) { return a.domain < b.domain; });
    promise.deliver(std::move(all));
  }
};

} // namespace

void root_state::open(environment_ptr all) {
  all_ = std::move(all);
  line_clock_ = self_->spawn(line_clock, all_);
  settled_ = all_->configuration.now();
}

root_state::~root_state() { caf::anon_send_exit(line_clock_, caf::exit_reason::user_shutdown); }

// -- functions

messages::device_actor root_state::start_device(const pci::sbdf& address, const settings::device& wanted) {
  auto& worker = workers_[address];
  if (!worker) {
    worker = self_->spawn(function_worker, all_, address);
  }
  auto device = self_->spawn(actors::device, all_, address, wanted, device_services{worker, line_clock_});
  self_->monitor(device);
  return device;
}

caf::result<messages::device_actor> root_state::find(const pci::sbdf& address) const {
  const auto found = devices_.find(address);
  if (found == devices_.end()) {
    return not_held(address);
  }
  return found->second.device;
}

// An error of a bridge, and what the kernel did because of one, concerns the functions below it; each knows its
// bridges.
void root_state::error() {
  for (const auto& tally : all_->events.take_errors()) {
    if (const auto found = devices_.find(tally.address); found != devices_.end()) {
      self_->send(found->second.device, messages::error_atom_v, tally);
    } else if (tally.uncorrected() || tally.host_ended) {
      for (const auto& [address, held] : devices_) {
        self_->send(held.device, messages::error_atom_v, tally);
      }
    }
  }
}

void root_state::resumed() {
  spdlog::info("dom0 was asleep: checking all functions");
  for (const auto& [address, held] : devices_) {
    self_->send(held.device, messages::resumed_atom_v);
  }
}

// -- guests

// Others are given its number: a name may be another guest's a moment later.
caf::result<messages::domain_id> root_state::find(const messages::domain_name& domain) {
  auto promise = self_->make_response_promise();
  run_on<messages::domain_id>(
      all_->store_worker, self_,
      [all = all_, domain] {
        return with_sure_reads(all->host.xenstore(),
                               [&domain](platform::store& store) { return resolve_domain(store, domain.text); });
      },
      [promise](const pci::result<messages::domain_id>& found) mutable { reply(promise, found); });
  return promise;
}

caf::result<pci::sbdf> root_state::attach(messages::domain_id domain, const pci::sbdf& address,
                                          const messages::attach_options& how) {
  return self_->delegate(self_->spawn(attachment, all_, messages::root_actor(self_)), messages::attach_atom_v, domain,
                         address, how);
}

caf::result<void> root_state::detach(messages::domain_id domain, const pci::sbdf& address) {
  return self_->delegate(self_->spawn(attachment, all_, messages::root_actor(self_)), messages::detach_atom_v, domain,
                         address);
}

caf::result<void> root_state::drain(const pci::sbdf& address) {
  if (!devices_.contains(address)) {
    return not_held(address);
  }
  return self_->delegate(self_->spawn(actors::drain, all_, messages::root_actor(self_)), messages::drain_atom_v,
                         address);
}

caf::result<void> root_state::drain(messages::domain_id domain) {
  return self_->delegate(self_->spawn(actors::drain, all_, messages::root_actor(self_)), messages::drain_atom_v,
                         domain);
}

caf::result<messages::overview> root_state::status() {
  auto all = std::make_shared<collection>();
  all->promise = self_->make_response_promise();
  caf::result<messages::overview> later = all->promise;
  for (const auto& [address, refused] : refused_) {
    all->all.functions.push_back(refused);
  }
  run_on_new_thread<std::vector<std::string>>(
      *all_, self_, [host = all_]() -> pci::result<std::vector<std::string>> { return host->host.pci().beyond_xen(); },
      [all](const pci::result<std::vector<std::string>>& names) {
        all->all.beyond_xen = names.value_or(std::vector<std::string>{});
      });
  for (const auto& [address, held] : devices_) {
    self_->request(held.device, status_patience, messages::status_atom_v)
        .then([all](const messages::function_status& status) { all->all.functions.push_back(status); },
              [all](caf::error&) {});
  }
  for (const auto& [id, actor] : domains_) {
    self_->request(actor, status_patience, messages::status_atom_v)
        .then([all](const messages::domain_status& status) { all->all.domains.push_back(status); },
              [all](caf::error&) {});
  }
  return later;
}

caf::result<messages::overview> root_state::list() {
  return self_->delegate(self_->spawn(survey, all_, messages::root_actor(self_)), messages::list_atom_v);
}

caf::result<messages::explanation> root_state::explain(const pci::sbdf& address) {
  return self_->delegate(self_->spawn(survey, all_, messages::root_actor(self_)), messages::explain_atom_v, address);
}

caf::result<messages::explanation> root_state::explain(const messages::domain_name& domain) {
  return self_->delegate(self_->spawn(survey, all_, messages::root_actor(self_)), messages::explain_atom_v, domain);
}

messages::root_actor::behavior_type root(root_state::self_pointer self, environment_ptr all) {
  behave(self);
  self->seen().is("root");
  auto* state = &self->state;
  state->open(std::move(all));
  self->set_down_handler([state](caf::down_msg& down) { state->down(down); });
  return {
      [state](messages::restore_atom) { return state->restore(); },
      [state](messages::hold_atom, const pci::sbdf& address, bool seize) { return state->hold(address, seize); },
      [state](messages::release_atom, const pci::sbdf& address, bool probe) { return state->release(address, probe); },
      [state](messages::attach_atom, messages::domain_id domain, const pci::sbdf& address) {
        return state->attach(domain, address, {});
      },
      [state](messages::attach_atom, messages::domain_id domain, const pci::sbdf& address,
              const messages::attach_options& how) { return state->attach(domain, address, how); },
      [state](messages::detach_atom, messages::domain_id domain, const pci::sbdf& address) {
        return state->detach(domain, address);
      },
      [state](messages::drain_atom, const pci::sbdf& address) { return state->drain(address); },
      [state](messages::drain_atom, messages::domain_id domain) { return state->drain(domain); },
      [state](messages::find_atom, const pci::sbdf& address) { return state->find(address); },
      [state](messages::find_atom, const messages::domain_name& domain) { return state->find(domain); },
      [state](messages::status_atom) { return state->status(); },
      [state](messages::list_atom) { return state->list(); },
      [state](messages::explain_atom, const pci::sbdf& address) { return state->explain(address); },
      [state](messages::explain_atom, const messages::domain_name& domain) { return state->explain(domain); },
      [state](messages::changed_atom, messages::domain_id domain) { state->changed(domain); },
      [state](messages::reread_atom) { state->reread(); },
      [state](messages::ended_atom) { state->ended(); },
      [state](messages::removed_atom, const pci::sbdf& address) { state->removed(address); },
      [state](messages::added_atom, const pci::sbdf& address) { state->added(address); },
      [state](messages::unbound_atom, const pci::sbdf& address) { state->unbound(address); },
      [state](messages::waits_atom, const pci::sbdf& address) { state->waits(address); },
      [state](messages::introduced_atom) { state->introduced(); },
      [state](messages::error_atom) { state->error(); },
      [state](messages::resumed_atom) { state->resumed(); },
      [state](messages::adopt_atom) { state->adopt(); },
      [state](messages::reload_atom) { state->reload(); },
      [state](messages::stop_atom) { state->stop(); },
  };
}

} // namespace actors
