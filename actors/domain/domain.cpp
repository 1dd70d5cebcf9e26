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
// For a frontend that has been waited for in vain, and has not moved since: a toolstack that destroys a guest takes its
// functions one by one.
constexpr auto patience_with_the_silent = 100ms;
// Shortly before libxl gives up, which waits for 10 s.
constexpr auto patience_with_the_slow = 9s;
// For a guest that connects too often.
constexpr auto connection_pause = 1s;
// For a frontend that waits to see Closed.
constexpr auto closed_pause = std::chrono::milliseconds(1000);

// What one connection has counted.
void add(messages::domain_status& to, const connection::counts& counted) {
  to.operations += counted.operations;
  to.absent += counted.absent;
  to.late += counted.late;
  to.spurious += counted.spurious;
  to.interrupt_operations += counted.interrupts;
  to.delayed += counted.delayed;
  to.delayed_accesses += counted.delayed_accesses;
  to.polled += counted.polled;
}

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

// Its time begins anew with each state that is the frontend's to answer.
void domain_state::wait_for_frontend(const pci::xenbus_nodes& nodes) {
  const auto backend = nodes.backend;
  const bool closed = backend == xenbus_state::closed && nodes.frontend == xenbus_state::closed && nodes.online;
  if (closed || (backend != xenbus_state::reconfiguring && backend != xenbus_state::reconfigured)) {
    plug_begun_.reset();
  } else if (!plug_begun_) {
    plug_begun_ = all_->host.time().now();
  }
  if (!closed && !plug_begun_) {
    return stop_waiting();
  }
  if (waiting_in_ == backend) {
    return;
  }
  stop_waiting();
  waiting_in_ = backend;
  waited_frontend_ = nodes.frontend;
  waited_operations_ = operations();
  const auto patience = all_->configuration->frontend_patience;
  self_->delayed_send(self_,
                      closed    ? closed_pause
                      : silent_ ? std::min<std::chrono::milliseconds>(patience, patience_with_the_silent)
                                : patience,
                      messages::wait_atom_v, wait_number_);
}

// A driver that lets go of a card, a network's or a graphics', may need longer than a frontend that is not there. Its
// guest has answered, or its operations still come.
bool domain_state::grant_more_time() {
  const bool moves = last_.frontend != waited_frontend_ || operations() != waited_operations_;
  if (!plug_begun_ || !moves || more_time_) {
    return false;
  }
  const auto left = *plug_begun_ + patience_with_the_slow - all_->host.time().now();
  if (left <= 0s) {
    return false;
  }
  more_time_ = true;
  self_->delayed_send(self_, left, messages::wait_atom_v, wait_number_);
  return true;
}

std::uint64_t domain_state::operations() const {
  return counters_.operations + (connection_ ? connection_->count().operations : 0);
}

void domain_state::stop_waiting() {
  waiting_in_.reset();
  more_time_ = false;
  facts_.frontend_waited_out = false;
  ++wait_number_;
}

void domain_state::waited_out(std::uint64_t wait_number) {
  if (wait_number == 0) { // the pause of a guest that changes its nodes too often
    look_now();
    return;
  }
  if (waiting_in_ && wait_number == wait_number_ && !grant_more_time()) {
    facts_.frontend_waited_out = true;
    silent_ = waiting_in_ != xenbus_state::closed && !more_time_;
    changed();
  }
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
    recovery_.error(what,
                    {found->second.device, found->second.lease, found->second.virtual_address, what.policy, target_});
  }
}

// -- the connection

// Another frontend is there than the one that is connected. What the old one had on would interrupt and write into
// memory that is the new one's; a driver that runs on is told nothing, and finds a function that has just been reset as
// far as it can see.
void domain_state::start_over(const pci::xenbus_nodes& nodes) {
  if (!limits_->allow_connection()) {
    return pause_before_connecting();
  }
  limits_->log.write(spdlog::level::info, "domain {}: its frontend has started over", domain_);
  disconnect([this, nodes] { renew_functions([this, nodes] { connect_to(nodes); }); });
}

void domain_state::pause_before_connecting() {
  stepping_ = false;
  looking_ = true;
  self_->delayed_send(self_, connection_pause, messages::wait_atom_v, std::uint64_t{0});
}

// What the last frontend left on in the guest's functions ends.
void domain_state::renew_functions(std::function<void()> then) {
  auto left = std::make_shared<std::size_t>(exports_.size());
  if (*left == 0) {
    return then();
  }
  auto next = [left, then = std::move(then)] {
    if (--*left == 0) {
      then();
    }
  };
  for (const auto& [host, where] : exports_) {
    self_->request(where.device, caf::infinite, messages::renew_atom_v, where.lease).then(next, [next](caf::error&) {
      next();
    });
  }
}

void domain_state::connect(const pci::xenbus_nodes& nodes) {
  limits_->allow_connection() ? connect_to(nodes) : pause_before_connecting();
}

void domain_state::connect_to(const pci::xenbus_nodes& nodes) {
  if (nodes.magic != pci::wire::magic) {
    return fail(nodes,
                {EFAULT, nodes.magic.empty() ? "the frontend wrote no magic" : "the frontend's magic is not \"7\""});
  }
  if (!nodes.grant_reference || !nodes.event_channel) {
    return fail(nodes, {EINVAL, "the frontend's pci-op-ref or event-channel is missing or no number"});
  }
  open_connection(nodes, [this, nodes] {
    if (nodes.backend == xenbus_state::connected) { // it scans its bus, and an earlier daemon has begun to answer
      connection_->take_over();
    }
    const bool plugging = nodes.backend == xenbus_state::reconfiguring || nodes.backend == xenbus_state::reconfigured;
    write_state(nodes, plugging ? nodes.backend : xenbus_state::connected);
  });
}

// `then`: when the guest is served. The page's and the channel's numbers are there.
void domain_state::open_connection(const pci::xenbus_nodes& nodes, std::function<void()> then) {
  run_on_new_thread<std::shared_ptr<connection>>(
      *all_, self_,
      [all = all_, domain = domain_, reference = *nodes.grant_reference, channel = *nodes.event_channel] {
        return connection::open(all->host, domain, reference, channel);
      },
      [this, nodes, then = std::move(then)](const pci::result<std::shared_ptr<connection>>& opened) {
        if (!opened) {
          return not_connected(nodes,
                               {opened.error().error, "cannot connect to the frontend: " + opened.error().context});
        }
        if (auto begun = begin_serving(nodes, *opened); !begun) {
          return drop_connection([this, nodes, why = begun.error()] { fail(nodes, why); });
        }
        then();
      });
}

// EAGAIN: no thread can be made; the connection is to be dropped.
pci::result<void> domain_state::begin_serving(const pci::xenbus_nodes& nodes, std::shared_ptr<connection> opened) {
  connection_ = std::move(opened);
  connection_->measure(all_->seen->operations.make());
  connection_->trace(all_->seen->traces.open(domain_, guest_));
  connected_reference_ = nodes.grant_reference;
  connected_channel_ = nodes.event_channel;
  came_up_ = false;
  ++connection_number_;
  facts_.overtaken = false;
  facts_.uncalled = false;
  recovery_.connected(connection_);
  for (const auto& [host, where] : exports_) {
    connection_->show(where.virtual_address, where.lease.access);
  }
  server_ = std::make_shared<guest_server>(connection_, messages::domain_actor(self_), connection_number_, limits_,
                                           all_->host.time(), pci::busy_poll(all_->configuration->polling));
  if (auto started = all_->servers->start(server_, domain_); !started) {
    server_->let_go();
    return started;
  }
  limits_->log.write(spdlog::level::info, "domain {} is connected", domain_);
  tell(happening::connected);
  return {};
}

// Unless it is another one by now, whose page and channel are others.
void domain_state::not_connected(const pci::xenbus_nodes& nodes, const pci::failure& why) {
  const bool for_a_moment = facts_.unadopted && why.error != EINVAL;
  if (for_a_moment && adopt_rest_later()) { // a guest that runs is not given up for that
    return step_done();
  }
  run_on<pci::xenbus_nodes>(
      all_->store_worker, self_, [all = all_, domain = domain_] { return read_nodes(all->host.xenstore(), domain); },
      [this, nodes, why](const pci::result<pci::xenbus_nodes>& now) {
        const bool same = !now || (now->frontend == nodes.frontend && now->grant_reference == nodes.grant_reference &&
                                   now->event_channel == nodes.event_channel);
        same ? fail(nodes, why) : step_done();
      });
}

// The guest's page is its own again before `then`.
void domain_state::disconnect(std::function<void()> then) {
  if (connection_) {
    limits_->log.write(spdlog::level::info, "domain {} is disconnected", domain_);
  }
  drop_connection(std::move(then));
}

void domain_state::tell(happening what, std::string detail) const {
  all_->seen->events.tell({what, {}, domain_, guest_, std::move(detail), {}});
}

// Its server has the connection in hand until it has answered what it serves; then the page is unmapped.
void domain_state::drop_connection(std::function<void()> then) {
  if (connection_) {
    tell(happening::disconnected);
    connection_->unbind();
    add(counters_, connection_->count());
    recovery_.disconnected();
    connection_.reset();
    if (std::exchange(server_, nullptr)->stop()) {
      unmapping_ = connection_number_;
    }
  }
  if (unmapping_) {
    when_unmapped_ = std::move(then);
  } else {
    then();
  }
}

// The guest's answer to a request; what else its events are for, its server sees to.
void domain_state::kick() { static_cast<void>(recovery_.take_answer()); }

void domain_state::unmapped(std::uint64_t connection_number) {
  if (unmapping_ != connection_number) {
    return;
  }
  unmapping_.reset();
  if (const auto then = std::exchange(when_unmapped_, nullptr)) {
    then();
  }
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
  auto status = counters_;
  if (connection_) {
    add(status, connection_->count());
  }
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
