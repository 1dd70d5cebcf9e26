// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/root/root.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/control/survey.hpp"
#include "actors/device/device.hpp"
#include "actors/device/line_clock.hpp"
#include "actors/domain/domain.hpp"
#include "actors/jobs.hpp"
#include "actors/pump/pump.hpp"
#include "actors/root/attachment.hpp"
#include "actors/root/drain.hpp"
#include "actors/xenstore/backend_nodes.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace actors {
namespace {

using namespace std::chrono_literals;

// A device actor that a bug has ended is started again, with a scrub; one that keeps ending is left alone.
constexpr unsigned restart_budget = 3;
constexpr auto status_patience = 2s;
// After xenstored has failed.
constexpr auto store_pause = 1s;

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
  spdlog::info("dom0 was asleep: all functions are looked at");
  for (const auto& [address, held] : devices_) {
    self_->send(held.device, messages::resumed_atom_v);
  }
}

// -- guests

caf::result<pci::sbdf> root_state::attach(const messages::domain_name& domain, const pci::sbdf& address,
                                          const messages::attach_options& how) {
  return self_->delegate(self_->spawn(attachment, all_, messages::root_actor(self_)), messages::attach_atom_v, domain,
                         address, how);
}

caf::result<void> root_state::detach(const messages::domain_name& domain, const pci::sbdf& address) {
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

caf::result<void> root_state::drain(const messages::domain_name& domain) {
  return self_->delegate(self_->spawn(actors::drain, all_, messages::root_actor(self_)), messages::drain_atom_v,
                         domain);
}

void root_state::changed(messages::domain_id domain) {
  all_->events.take_root_changes(domain);
  if (stopping_) {
    return;
  }
  if (const auto found = domains_.find(domain); found != domains_.end()) {
    // It is one that an earlier daemon served, and has begun before the watches; or its actor has ended and handed the
    // change on, and only the word of its end is still on the way.
    self_->send(found->second, messages::changed_atom_v);
    self_->request(found->second, caf::infinite, messages::status_atom_v)
        .then([](const messages::domain_status&) {},
              [this, domain](caf::error&) {
                domains_.contains(domain) ? static_cast<void>(unseen_.insert(domain)) : changed(domain);
              });
    return;
  }
  auto& limits = limits_[domain];
  if (!limits) {
    limits = std::make_shared<guest_limits>(all_->host.time(), all_->configuration->interrupt_rate,
                                            all_->configuration->access_rate);
  }
  auto actor = self_->spawn(actors::domain, all_, messages::root_actor(self_), domain, limits);
  self_->monitor(actor);
  domains_.emplace(domain, std::move(actor));
}

// Guests that came while xenstored was away; the others' actors look for themselves. The births and deaths of domains
// are told by the watches for them.
void root_state::reread() {
  run_on<std::vector<messages::domain_id>>(
      all_->store_worker, self_, [all = all_] { return list_backends(all->host.xenstore()); },
      [this](const pci::result<std::vector<messages::domain_id>>& backends) {
        if (!backends) {
          self_->delayed_send(self_, store_pause, messages::reread_atom_v);
        }
        for (const auto id : backends.value_or(std::vector<messages::domain_id>{})) {
          if (!domains_.contains(id)) {
            changed(id);
          }
        }
      });
}

void root_state::ended() {
  const auto named = all_->events.take_releases();
  const auto concerned = [named](messages::domain_id id) { return !named || named->contains(id); };
  for (const auto& [id, actor] : domains_) {
    if (!concerned(id)) {
      continue;
    }
    if (gone(*all_, id)) {
      self_->send(actor, messages::ended_atom_v);
    } else if (const auto info = all_->host.xen().domain(id); info && info->shutdown) {
      self_->send(actor, messages::changed_atom_v);
    }
  }
  std::erase_if(limits_,
                [this](const auto& each) { return !domains_.contains(each.first) && gone(*all_, each.first); });
  // A function that was granted, but not yet leased, or that is inherited, is known by the device alone.
  for (const auto& [address, held] : devices_) {
    self_->request(held.device, status_patience, messages::owner_atom_v)
        .then(
            [this, concerned, address = address, device = held.device](const messages::function_owner& owner) {
              const auto unserved = owner.state == messages::function_state::granted ||
                                    owner.state == messages::function_state::inherited;
              if (!unserved || (owner.domain && !concerned(*owner.domain))) {
                return;
              }
              const auto still =
                  owner.domain ? !gone(*all_, *owner.domain) : all_->host.xen().has_guest(address).value_or(true);
              if (!still) {
                self_->send(device, messages::ended_atom_v, owner.domain.value_or(messages::unknown_domain));
              }
            },
            [](caf::error&) {});
  }
  look_for_remains();
}

// A guest that nobody serves any more, for it took its own nodes away, still has its backend directory; and libxl's
// notes of its functions are still there.
void root_state::look_for_remains() {
  run_on<std::vector<messages::domain_id>>(
      all_->store_worker, self_,
      [all = all_]() -> pci::result<std::vector<messages::domain_id>> {
        remove_stale_notes(all->host.xenstore(), [&all](messages::domain_id id) { return gone(*all, id); });
        return list_backends(all->host.xenstore());
      },
      [this](const pci::result<std::vector<messages::domain_id>>& backends) {
        if (!backends) {
          self_->delayed_send(self_, store_pause, messages::ended_atom_v);
        }
        for (const auto id : backends.value_or(std::vector<messages::domain_id>{})) {
          if (!domains_.contains(id) && gone(*all_, id)) {
            changed(id);
          }
        }
      });
}

// -- supervision

void root_state::down(const caf::down_msg& down) {
  const auto bug = static_cast<bool>(down.reason); // none ends with a reason but by an exception
  const auto device = std::find_if(devices_.begin(), devices_.end(),
                                   [&](const auto& entry) { return entry.second.device.address() == down.source; });
  if (device != devices_.end()) {
    if (bug && !stopping_ && device->second.restarts < restart_budget) {
      return restart_device(device->first);
    }
    const auto address = device->first;
    devices_.erase(device);
    if (returning_.erase(address) != 0 && !stopping_) {
      hide(address);
    }
    return;
  }
  const auto domain = std::find_if(domains_.begin(), domains_.end(),
                                   [&](const auto& entry) { return entry.second.address() == down.source; });
  if (domain == domains_.end()) {
    return;
  }
  const auto id = domain->first;
  domains_.erase(domain);
  if (bug && !stopping_) {
    // Its devices have seen it end and are being scrubbed; the guest is told that its bus is gone.
    run_on<void>(
        all_->store_worker, self_,
        [all = all_, id] {
          const auto nodes = read_nodes(all->host.xenstore(), id);
          return nodes && nodes->exists
                     ? write_nodes(all->host.xenstore(), id, nodes->backend, {{pci::node::state, "5"}})
                     : pci::result<void>{};
        },
        [](const pci::result<void>&) {});
  }
  if (stopping_) {
    return stop_devices();
  }
  if (unseen_.erase(id) != 0) {
    changed(id);
  }
}

void root_state::restart_device(const pci::sbdf& address) {
  auto& held = devices_.at(address);
  ++held.restarts;
  held.device = start_device(address, held.wanted);
  if (const auto seen = census::all().find(self_->home_system(), held.device.id())) {
    seen->set_restarts(held.restarts);
  }
  self_->request(held.device, caf::infinite, messages::hold_atom_v, false)
      .then([address] { spdlog::warn("{} is held again", pci::to_string(address)); },
            [address](caf::error& error) {
              spdlog::error("{} is lost: {}", pci::to_string(address),
                            pci::to_string(messages::to_failure(error, "its actor ended again")));
            });
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

void root_state::stop() {
  stopping_ = true;
  until_stopped_ = messages::root_actor(self_);
  for (const auto& [id, actor] : domains_) {
    self_->send(actor, messages::stop_atom_v);
  }
  stop_devices();
}

// When no guest is served any more: one whose function had ended first would be told that there is none. What it asks
// for meanwhile the next daemon answers.
void root_state::stop_devices() {
  if (!domains_.empty()) {
    return;
  }
  for (const auto& [address, held] : devices_) {
    self_->send(held.device, messages::stop_atom_v);
  }
  self_->quit();
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
      [state](messages::attach_atom, const messages::domain_name& domain, const pci::sbdf& address) {
        return state->attach(domain, address, {});
      },
      [state](messages::attach_atom, const messages::domain_name& domain, const pci::sbdf& address,
              const messages::attach_options& how) { return state->attach(domain, address, how); },
      [state](messages::detach_atom, const messages::domain_name& domain, const pci::sbdf& address) {
        return state->detach(domain, address);
      },
      [state](messages::drain_atom, const pci::sbdf& address) { return state->drain(address); },
      [state](messages::drain_atom, const messages::domain_name& domain) { return state->drain(domain); },
      [state](messages::find_atom, const pci::sbdf& address) { return state->find(address); },
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
