// SPDX-License-Identifier: GPL-2.0-or-later
// The steps of the handshake that the state machine (pci/protocol/xenbus.hpp) asks for.
#include <cerrno>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/domain/domain.hpp"
#include "actors/jobs.hpp"
#include "actors/xenstore/backend_nodes.hpp"
#include "actors/xenstore/guest_names.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace actors {

using pci::xenbus_state;
using pci::xenbus_step;

namespace {

using namespace std::chrono_literals;

std::string state_text(xenbus_state state) { return fmt::format("{}", static_cast<unsigned>(state)); }

} // namespace

void domain_state::step(xenbus_step what, const pci::xenbus_nodes& nodes) {
  switch (what) {
  case xenbus_step::none:
    return step_done();
  case xenbus_step::prepare:
    if (nodes.frontend_path != pci::paths::frontend(domain_)) {
      return fail(nodes, {EINVAL, fmt::format("frontend is \"{}\", not {}", nodes.frontend_path,
                                              pci::paths::frontend(domain_))});
    }
    // A toolstack that made its directories anew before anybody saw them gone made the guest's new too.
    return disconnect([this] { renew_functions([this] { accept(); }); });
  case xenbus_step::export_all:
    return disconnect([this, nodes] { // a toolstack has written 2
      renew_functions([this, nodes] { export_devices(nodes, true, xenbus_state::initialised, true); });
    });
  case xenbus_step::export_new:
    return export_devices(nodes, false, std::nullopt, true);
  case xenbus_step::connect:
    return connect(nodes);
  case xenbus_step::start_over:
    return start_over(nodes);
  case xenbus_step::reconfigure:
    stop_waiting(); // a toolstack that writes 7 again gives the frontend its time again
    facts_.overtaken = false;
    return reconfigure(nodes, xenbus_state::reconfigured, true);
  case xenbus_step::complete:
    stop_waiting();
    return write_state(nodes, xenbus_state::connected);
  case xenbus_step::take_back:
    stop_waiting();
    facts_.overtaken = connection_ != nullptr;
    return reconfigure(nodes, state_without_hot_plug(), !connection_ || nodes.takes_hot_plug);
  case xenbus_step::catch_up:
    facts_.overtaken = false; // once: a guest that stays in 7 is not told again and again
    return write_state(nodes, xenbus_state::reconfigured);
  case xenbus_step::close:
    return disconnect([this, nodes] { write_state(nodes, xenbus_state::closing); });
  case xenbus_step::closed:
    return disconnect([this, nodes] {
      auto closed = [this, nodes] { write_state(nodes, xenbus_state::closed); };
      nodes.online ? closed() : return_leases(all_exports(), closed);
    });
  case xenbus_step::restart:
    return disconnect([this, nodes] { write_state(nodes, xenbus_state::init_wait); });
  case xenbus_step::stand_in:
    return disconnect([this, nodes] { write_state(nodes, xenbus_state::connected); });
  case xenbus_step::call_again:
    return call_frontend_again();
  case xenbus_step::adopt:
    return adopt(nodes);
  case xenbus_step::tear_down:
    return tear_down(nodes);
  }
}

// A frontend that has not connected yet must find state 3, or it would look for devices before its page is mapped.
xenbus_state domain_state::state_without_hot_plug() const {
  return connection_ || facts_.domain_shut_down ? xenbus_state::connected : xenbus_state::initialised;
}

void domain_state::step_done() {
  stepping_ = false;
  look();
}

void domain_state::write_state(const pci::xenbus_nodes& nodes, xenbus_state state) {
  write_and_look(nodes.backend, {{pci::node::state, state_text(state)}});
}

void domain_state::accept() {
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, domain = domain_] {
        auto& store = all->host.xenstore();
        const auto guests = all->configuration->guests;
        const auto who = names_of(store, domain);
        const bool own_view = std::ranges::any_of(
            guests, [&](const auto& guest) { return !guest.hot_plug && is_called(who, guest.match); });
        return accept_guest(store, domain, own_view);
      },
      [this](const pci::result<void>& accepted) {
        if (!accepted && accepted.error().error == EBUSY) {
          limits_->log.write(spdlog::level::warn, "domain {} cannot be kept from seeing a hot-plug: {}", domain_,
                             accepted.error().context);
          return step_done();
        }
        facts_.uncalled = facts_.uncalled || accepted.has_value();
        written(accepted);
      });
}

// Once: a guest that stays in 6 has no driver that would come.
void domain_state::call_frontend_again() {
  facts_.uncalled = false;
  limits_->log.write(spdlog::level::info, "domain {}: its frontend ended late, and is asked to connect again", domain_);
  run_on<void>(
      all_->store_worker, self_, [all = all_, domain = domain_] { return call_frontend(all->host.xenstore(), domain); },
      [this](const pci::result<void>& called) { written(called); });
}

void domain_state::write_and_look(xenbus_state seen, std::vector<pci::node_write> writes,
                                  std::vector<pci::node_write> expected) {
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, domain = domain_, seen, writes = std::move(writes), expected = std::move(expected)] {
        return write_nodes(all->host.xenstore(), domain, seen, writes, expected);
      },
      [this](const pci::result<void>& done) { written(done); });
}

void domain_state::written(const pci::result<void>& done) {
  // EAGAIN: the toolstack was quicker; what it wrote is looked at next.
  if (done || done.error().error == EAGAIN) {
    return step_done();
  }
  report(done.error());
  stepping_ = false;
  looking_ = true;
  self_->delayed_send(self_, 1s, messages::wait_atom_v, std::uint64_t{0});
}

// What the kernel's backend calls fatal: the error node and state 5, to which the frontend answers with 6.
void domain_state::fail(const pci::xenbus_nodes& nodes, const pci::failure& why) {
  report(why);
  facts_.given_up = true;
  write_state(nodes, xenbus_state::closing);
}

void domain_state::report(const pci::failure& why) {
  limits_->log.write(spdlog::level::err, "domain {}: {}", domain_, pci::to_string(why));
  tell(happening::error, why.context);
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, domain = domain_, why] { return write_error(all->host.xenstore(), domain, why); },
      [](const pci::result<void>&) {});
}

void domain_state::tear_down(const pci::xenbus_nodes& nodes) {
  if (connection_) {
    connection_->unbind();
  }
  const auto exports = all_exports();
  auto functions = exports;
  for (const auto& node : nodes.devices) { // those too that it has lost before
    if (const auto host = pci::parse_node_sbdf(node.dev)) {
      functions.push_back(*host);
    }
  }
  return_leases(exports, [this, functions, exists = nodes.exists, seen = nodes.backend] {
    // Only now: the page keeps the dead domain, and so its pirqs, until every function has given up its own.
    drop_connection([this, functions, state = exists ? seen : xenbus_state::unknown] {
      tell_unmapped();
      forget(state, functions);
    });
  });
}

void domain_state::tell_unmapped() {
  for (const auto& [host, device] : std::exchange(returned_, {})) {
    self_->send(device, messages::unmapped_atom_v);
  }
}

void domain_state::forget(xenbus_state seen, const std::vector<pci::sbdf>& functions) {
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, domain = domain_, dead = facts_.domain_ending, seen, watching = std::exchange(watching_, false),
       functions]() -> pci::result<void> {
        auto& store = all->host.xenstore();
        if (watching) {
          static_cast<void>(
              store.unwatch(pci::paths::in(pci::paths::frontend(domain), pci::node::state), frontend_token(domain)));
        }
        return forget_guest(store, domain, dead, seen, functions);
      },
      [this, was_dead = facts_.domain_ending, seen, functions](const pci::result<void>& done) {
        if (!done && done.error().error != EAGAIN) {
          limits_->log.write(spdlog::level::warn, "domain {}: {}", domain_, pci::to_string(done.error()));
        }
        // A death that is told to an actor that ends is told to nobody else.
        ask_for_the_domain();
        if (!was_dead && facts_.domain_ending) {
          return forget(seen, functions);
        }
        // A change that this actor was told of is told to no other: a toolstack may have made the directories anew.
        if (dirty_) {
          return step_done();
        }
        limits_->log.write(spdlog::level::info, "domain {} is no longer served", domain_);
        tell(facts_.domain_ending ? happening::ended : happening::unserved);
        self_->quit();
      });
}

} // namespace actors
