// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/root/attachment.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "actors/jobs.hpp"
#include "actors/pump/pump.hpp"
#include "actors/root/frontend_check.hpp"

namespace actors {
namespace {

using namespace std::chrono_literals;

constexpr auto poll_interval = 50ms;
// Where a watch tells when to look again; for the end of the patience, and should a watch be lost.
constexpr auto watched_interval = 1s;
// After a change: of many, what they come to is looked at.
constexpr auto settling = 2ms;

} // namespace

void attachment_state::open(environment_ptr all, messages::root_actor root) {
  all_ = std::move(all);
  root_ = std::move(root);
}

caf::response_promise attachment_state::begin(messages::domain_id domain, const pci::sbdf& address,
                                              platform::clock::duration patience, step then) {
  promise_ = self_->make_response_promise();
  domain_ = domain;
  address_ = address;
  allow(patience);
  self_->request(root_, caf::infinite, messages::find_atom_v, address_)
      .then(
          [this, then](messages::device_actor device) {
            device_ = std::move(device);
            (this->*then)();
          },
          [this](caf::error& error) { fail(messages::to_failure(error, "the daemon is stopping")); });
  return promise_;
}

attachment_state::~attachment_state() {
  if (listener_ != 0) {
    all_->events.forget(listener_);
  }
}

void attachment_state::listen() {
  if (listener_ == 0) {
    listener_ = all_->events.tell_changes(domain_, [to = attachment_actor(self_), pending = pending_] {
      if (!pending->exchange(true)) {
        caf::anon_send(to, messages::changed_atom_v);
      }
    });
  }
}

void attachment_state::changed() {
  changed_ = true;
  if (next_ != nullptr) {
    look_soon();
  }
}

// -- what the guest's frontend would make of it, before anything is changed and again when it has changed

void attachment_state::ask_frontend(step then) {
  self_->request(root_, caf::infinite, messages::status_atom_v)
      .then(
          [this, then](const messages::overview& all) {
            const auto found = std::ranges::find(all.domains, domain_, &messages::domain_status::domain);
            const bool served = found != all.domains.end();
            if (served && forced_ && !served_) { // its backend decides when its frontend has had its time
              served_ = true;
              allow(std::max<platform::clock::duration>(all_->configuration->frontend_patience, toolstack_patience) +
                    drain_margin);
            }
            ask_store(then, !served || found->takes_hot_plug);
          },
          [this](caf::error& error) { fail(messages::to_failure(error, "the daemon is stopping")); });
}

void attachment_state::ask_store(step then, bool looks_able) {
  run_on<frontend_manner>(
      all_->store_worker, self_,
      [all = all_, domain = domain_, looks_able] { return check_frontend(*all, domain, looks_able); },
      [this, then](const pci::result<frontend_manner>& manner) {
        if (!manner) {
          return then == &attachment_state::add ? undo(manner.error()) : fail(manner.error());
        }
        plug_ = *manner == frontend_manner::plugs;
        (this->*then)();
      });
}

void attachment_state::allow(platform::clock::duration time) { deadline_ = all_->host.time().now() + time; }

bool attachment_state::time_is_over() const { return all_->host.time().now() >= deadline_; }

void attachment_state::again(step what) {
  next_ = what;
  self_->delayed_send(self_, poll_interval, messages::wait_atom_v);
}

// When the guest's nodes have changed.
void attachment_state::again_when_changed(step what) {
  next_ = what;
  if (changed_) {
    look_soon();
  } else {
    self_->delayed_send(self_, watched_interval, messages::wait_atom_v);
  }
}

void attachment_state::look_soon() { self_->delayed_send(self_, settling, messages::wait_atom_v); }

void attachment_state::poll() {
  changed_ = false;
  *pending_ = false;
  if (const auto next = std::exchange(next_, nullptr)) {
    (this->*next)();
  }
}

void attachment_state::fail(const pci::failure& why) {
  if (why.error != EEXIST && why.error != ENODEV) { // what it is not held for has been noted
    all_->failures->note(address_, all_->host.time().now(), why.context, why.error);
  }
  promise_.deliver(messages::to_error(why));
  self_->quit();
}

// A guest that floods its nodes overtakes each transaction that has read one of them, until it is limited.
bool attachment_state::is_overtaken(const pci::result<void>& done) const {
  return !done && done.error().error == EAGAIN && !time_is_over();
}

attachment_actor::behavior_type attachment(attachment_state::self_pointer self, environment_ptr all,
                                           messages::root_actor root) {
  behave(self);
  self->seen().is("attachment");
  self->seen().is_passing();
  auto* state = &self->state;
  self->monitor(root);
  self->set_down_handler([self](caf::down_msg&) { self->quit(); }); // the daemon stops
  state->open(std::move(all), std::move(root));
  return {
      [state](messages::attach_atom, messages::domain_id domain, const pci::sbdf& address,
              const messages::attach_options& how) { return state->attach(domain, address, how); },
      [state](messages::detach_atom, messages::domain_id domain, const pci::sbdf& address) {
        return state->detach(domain, address);
      },
      [state](messages::drain_atom, messages::domain_id domain, const pci::sbdf& address) {
        return state->drain(domain, address);
      },
      [state](messages::wait_atom) { state->poll(); },
      [state](messages::changed_atom) { state->changed(); },
  };
}

} // namespace actors
