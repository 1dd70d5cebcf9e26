// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/domain/domain.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/jobs.hpp"
#include "actors/pump/pump.hpp"
#include "actors/xenstore/backend_nodes.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace actors {

using pci::xenbus_state;
using pci::xenbus_step;

namespace {

using namespace std::chrono_literals;

constexpr auto look_pause = 100ms;

} // namespace

std::string domain_state::frontend_token(messages::domain_id domain) {
  return fmt::format("{}{}", pump::frontend_token, domain);
}

domain_state::~domain_state() {
  if (!all_) {
    return;
  }
  if (connection_) {
    connection_->unbind();
    static_cast<void>(server_->stop());
  }
  all_->events.unroute_domain(domain_);
}

void domain_state::open(environment_ptr all, messages::root_actor root, messages::domain_id domain,
                        std::shared_ptr<guest_limits> limits) {
  all_ = std::move(all);
  root_ = std::move(root);
  domain_ = domain;
  counters_.domain = domain;
  limits_ = std::move(limits);
  fresh_ = !std::exchange(limits_->known, true);
  topology_ = pci::topology(all_->configuration->topology, all_->configuration->function_numbers);
  recovery_.open(self_, all_, root_, domain, limits_, [this](const pci::sbdf& host) {
    if (exports_.contains(host)) {
      return_leases({host}, [] {});
    }
  });
  all_->events.route_domain(domain, messages::domain_actor(self_));
  look();
}

// -- looking at the nodes

void domain_state::changed() {
  if (!pausing_) {
    all_->events.take_changes(domain_);
  }
  if (looking_ || stepping_) {
    dirty_ = true;
  } else {
    look();
  }
}

// Every look comes this way but the one after the pause, also that which follows a step or a change during a look.
void domain_state::look() {
  looking_ = true;
  if (limits_->allow_look()) {
    look_now();
  } else {
    pausing_ = true;
    self_->delayed_send(self_, look_pause, messages::wait_atom_v, std::uint64_t{0});
  }
}

void domain_state::look_now() {
  if (std::exchange(pausing_, false)) {
    all_->events.take_changes(domain_);
  }
  looking_ = true;
  dirty_ = false;
  run_on<pci::xenbus_nodes>(
      all_->store_worker, self_, [all = all_, domain = domain_] { return read_nodes(all->host.xenstore(), domain); },
      [this](const pci::result<pci::xenbus_nodes>& nodes) { looked(nodes); });
}

void domain_state::looked(const pci::result<pci::xenbus_nodes>& nodes) {
  looking_ = false;
  if (!nodes) {
    limits_->log.write(spdlog::level::warn, "domain {}: {}", domain_, pci::to_string(nodes.error()));
    looking_ = true;
    self_->delayed_send(self_, 1s, messages::wait_atom_v, std::uint64_t{0});
    return;
  }
  if (nodes->frontend != last_.frontend) {
    facts_.given_up = false;
    silent_ = false;
  }
  last_ = *nodes;
  self_->seen().set_state(pci::to_string(nodes->backend).data());
  watch_frontend(*nodes);
  wait_for_frontend(*nodes);
  ask_for_the_domain();
  facts_.connected = connection_ != nullptr;
  facts_.started_over = has_started_over(*nodes);
  facts_.unadopted = (std::exchange(fresh_, false) || is_time_to_adopt_rest()) && pci::was_served(*nodes);
  const auto what = pci::next_step(*nodes, facts_);
  if (what == xenbus_step::none) {
    return settle(*nodes);
  }
  // Unlimited: only for an administrator who asks for it, and the looks are limited.
  spdlog::debug("domain {}: backend {}, frontend {}: {}", domain_, to_string(nodes->backend),
                to_string(nodes->frontend), to_string(what));
  stepping_ = true;
  step(what, *nodes);
}

// Asked each time: a death that was told before this actor began, or a directory that went before the death was told,
// would leave the guest's things behind.
void domain_state::ask_for_the_domain() {
  const auto info = all_->host.xen().domain(domain_);
  facts_.domain_ending = facts_.domain_ending || !info || info->dying;
  facts_.domain_shut_down = info && info->shutdown;
  facts_.domain_paused = info && info->paused;
}

// Nothing to do for the state; but a device whose nodes a toolstack deleted without asking (a forced detach) goes back.
void domain_state::settle(const pci::xenbus_nodes& nodes) {
  auto gone = all_exports();
  for (const auto& node : nodes.devices) {
    if (const auto host = pci::parse_node_sbdf(node.dev)) {
      std::erase(gone, *host);
    }
  }
  if (!gone.empty()) {
    stepping_ = true;
    return return_leases(gone, [this] { step_done(); });
  }
  if (dirty_) {
    look();
  }
}

// The frontend's state alone, and nothing that a guest puts below it: everything else of the guest's is read when the
// state says that it is there.
void domain_state::watch_frontend(const pci::xenbus_nodes& nodes) {
  if (watching_ || !nodes.exists || nodes.frontend == xenbus_state::unknown) {
    return; // what is about to be torn down needs none, and each new watch fires once
  }
  watching_ = true;
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, domain = domain_] {
        return all->host.xenstore().watch(pci::paths::in(pci::paths::frontend(domain), pci::node::state),
                                          frontend_token(domain), 0);
      },
      [this](const pci::result<void>& watched) {
        if (!watched) {
          report(watched.error());
          watching_ = false;
          self_->delayed_send(self_, 1s, messages::changed_atom_v);
        }
      });
}

// A frontend goes from 3 to 4 and never back; its successor has another page and another channel, unless it was given
// the same numbers. One that does not wait for its backend may be in 4 again before it is looked at. What a toolstack
// resets to 1 an old frontend takes no notice of: it is the connected one until a new one is there.
bool domain_state::has_started_over(const pci::xenbus_nodes& nodes) {
  if (!connection_) {
    return false;
  }
  const bool is_new = nodes.frontend == xenbus_state::initialised;
  const bool is_up = nodes.frontend == xenbus_state::connected || nodes.frontend == xenbus_state::reconfiguring;
  const bool is_other = nodes.grant_reference && nodes.event_channel &&
                        (nodes.grant_reference != connected_reference_ || nodes.event_channel != connected_channel_);
  const bool over = (is_new && came_up_) || ((is_new || is_up) && is_other);
  came_up_ = came_up_ || is_up;
  return over;
}

void domain_state::ended() {
  facts_.domain_ending = true;
  changed();
}

void domain_state::removed(const pci::sbdf& host) {
  // The guest's next access is answered "not found"; its driver and the toolstack take it from there.
  if (exports_.contains(host)) {
    report({ENODEV, fmt::format("{} was removed from the host", pci::to_string(host))});
  }
}

void domain_state::error(const messages::function_error& what) {
  const auto found = exports_.find(what.address);
  if (found != exports_.end() && found->second.lease.number == what.lease) {
    recovery_.error(what, as_recovered(found->second, what.policy));
  }
}

recovery::function domain_state::as_recovered(const exported& where, pci::error_policy policy) const {
  return {where.device, where.lease, where.virtual_address, policy, target_};
}

void domain_state::tell(happening what, std::string detail) const {
  all_->seen->events.tell({what, {}, domain_, guest_, std::move(detail), {}});
}

// The actor of a leased function ended by a bug. It has taken the function from the guest.
void domain_state::device_down(const caf::actor_addr& device) {
  for (const auto& host : all_exports()) {
    if (exports_.at(host).device.address() == device) {
      forget_export(host);
      report({EIO, fmt::format("{} was taken away: its actor ended", pci::to_string(host))});
    }
  }
}

messages::domain_status domain_state::status() const {
  auto status = counted();
  status.backend = last_.backend;
  status.frontend = last_.frontend;
  status.frontend_error = last_.frontend_error;
  status.interrupt_rate = all_->configuration->interrupt_rate;
  status.access_rate = all_->configuration->access_rate;
  status.connected = connection_ != nullptr;
  // Linux's frontend says that it handles errors; mini-os's and FreeBSD's ask for registers of every size.
  const bool like_netbsd = connection_ && connection_->only_words() && !connection_->has_aer_handler();
  status.takes_hot_plug = last_.takes_hot_plug && !like_netbsd;
  for (const auto& [host, where] : exports_) {
    status.functions.push_back(host);
  }
  return status;
}

messages::domain_actor::behavior_type domain(domain_state::self_pointer self, environment_ptr all,
                                             messages::root_actor root, messages::domain_id id,
                                             std::shared_ptr<guest_limits> limits) {
  behave(self);
  auto* state = &self->state;
  self->set_down_handler([state](caf::down_msg& down) { state->device_down(down.source); });
  self->seen().is("domain", fmt::format("{}", id));
  state->open(std::move(all), std::move(root), id, std::move(limits));
  return {
      [state](messages::kick_atom) { state->kick(); },
      [state](messages::unmapped_atom, std::uint64_t number) { state->unmapped(number); },
      [state](messages::changed_atom) { state->changed(); },
      [state](messages::wait_atom, std::uint64_t number) { state->waited_out(number); },
      [state](messages::ended_atom) { state->ended(); },
      [state](messages::removed_atom, const pci::sbdf& host) { state->removed(host); },
      [state](messages::error_atom, const messages::function_error& what) { state->error(what); },
      [state](messages::recover_atom, std::uint64_t timer) { state->error_waited_out(timer); },
      [state](messages::status_atom) { return state->status(); },
      [self](messages::stop_atom) { self->quit(caf::exit_reason::user_shutdown); },
  };
}

} // namespace actors
