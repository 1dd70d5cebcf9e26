// SPDX-License-Identifier: GPL-2.0-or-later
// How a guest's frontend is connected, again where it has begun anew, and let go.
#include <cerrno>
#include <utility>

#include <spdlog/spdlog.h>

#include "actors/domain/domain.hpp"
#include "actors/jobs.hpp"
#include "actors/xenstore/backend_nodes.hpp"

namespace actors {

using pci::xenbus_state;

namespace {

using namespace std::chrono_literals;

// For a guest that connects too often.
constexpr auto connection_pause = 1s;

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
  to.events_late += counted.events_late;
}

} // namespace

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
    return fail(nodes, {EINVAL, "the frontend's pci-op-ref or event-channel is missing or not a number"});
  }
  open_connection(nodes, [this, nodes] {
    for (const auto& [host, where] : exports_) {
      if (const auto saved = all_->journal->row(host).recovery_of(domain_)) {
        recovery_.end(*saved, as_recovered(where, saved->policy));
      }
    }
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
                                           all_->host.time(), all_->configuration->polling);
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

// Its server has the connection in hand until it has answered what it serves; then the page is unmapped.
void domain_state::drop_connection(std::function<void()> then) {
  if (connection_) {
    tell(happening::disconnected);
    connection_->unbind();
    counters_ = counted();
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

messages::domain_status domain_state::counted() const {
  auto counted = counters_;
  if (connection_) {
    add(counted, connection_->count());
  }
  return counted;
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

} // namespace actors
