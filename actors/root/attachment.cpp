// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/root/attachment.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/jobs.hpp"
#include "actors/pump/pump.hpp"
#include "actors/root/frontend_check.hpp"
#include "actors/xenstore/backend_nodes.hpp"
#include "actors/xenstore/guest_kind.hpp"
#include "actors/xenstore/paths.hpp"
#include "actors/xenstore/sure_reads.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"

namespace actors {
namespace {

using namespace std::chrono_literals;

constexpr auto poll_interval = 50ms;
// Where a watch tells when to look again; for the end of the patience, and should a watch be lost.
constexpr auto watched_interval = 1s;
// After a change: of many, what they come to is looked at.
constexpr auto settling = 2ms;
// What libxl waits for a backend, on top of the time that a frontend is given.
constexpr auto toolstack_patience = 10s;
// For the backend's own answer, when the frontend's time is over.
constexpr auto drain_margin = 1s;
// The kernel gives a function a minute to come back from its reset.
constexpr auto reset_patience = 90s;

pci::result<void> check_without_device_model(platform::host& host, messages::domain_id domain, std::string_view command,
                                             const pci::sbdf& address) {
  return kind_of(host, domain).and_then([&](const guest_kind& guest) {
    return check_needs_no_device_model(guest, command, address);
  });
}

// And keeps it: while the guest lets go of something, nobody can say.
bool has_already(platform::store& store, messages::domain_id domain, const pci::sbdf& address) {
  const auto state = read_state(store, paths::backend(domain) + "/state");
  return claimed_by(store, address) == domain && served_in(store, address) == domain &&
         state != pci::xenbus_state::reconfiguring && state != pci::xenbus_state::reconfigured;
}

} // namespace

void attachment_state::open(environment_ptr all, messages::root_actor root) {
  all_ = std::move(all);
  root_ = std::move(root);
}

caf::result<pci::sbdf> attachment_state::attach(const messages::domain_name& domain, const pci::sbdf& address,
                                                const messages::attach_options& how) {
  promise_ = self_->make_response_promise();
  address_ = address;
  how_ = how;
  self_->seen().is("attachment", fmt::format("{} to {}", pci::to_string(address), domain.text));
  find_domain(domain.text, &attachment_state::begin_grant);
  return promise_;
}

caf::result<void> attachment_state::detach(const messages::domain_name& domain, const pci::sbdf& address) {
  promise_ = self_->make_response_promise();
  address_ = address;
  self_->seen().is("detachment", fmt::format("{} from {}", pci::to_string(address), domain.text));
  find_domain(domain.text, &attachment_state::begin_taking);
  return promise_;
}

caf::result<void> attachment_state::drain(messages::domain_id domain, const pci::sbdf& address) {
  promise_ = self_->make_response_promise();
  address_ = address;
  domain_ = domain;
  forced_ = true;
  self_->seen().is("detachment", fmt::format("{} from domain {}", pci::to_string(address), domain));
  allow(all_->configuration->frontend_patience + drain_margin);
  find_device(&attachment_state::begin_taking);
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

void attachment_state::find_domain(const std::string& domain, step then) {
  allow(all_->configuration->frontend_patience + toolstack_patience);
  run_on<messages::domain_id>(
      all_->store_worker, self_,
      [all = all_, domain] {
        return with_sure_reads(all->host.xenstore(),
                               [&domain](platform::store& store) { return resolve_domain(store, domain); });
      },
      [this, then](const pci::result<messages::domain_id>& found) {
        if (!found) {
          return fail(found.error());
        }
        domain_ = *found;
        find_device(then);
      });
}

void attachment_state::find_device(step then) {
  self_->request(root_, caf::infinite, messages::find_atom_v, address_)
      .then(
          [this, then](messages::device_actor device) {
            device_ = std::move(device);
            (this->*then)();
          },
          [this](caf::error& error) { fail(messages::to_failure(error, "the daemon is stopping")); });
}

// -- what the guest's frontend would make of it, before anything is changed and again when it has changed

void attachment_state::begin_grant() { ask_frontend(&attachment_state::grant); }
void attachment_state::begin_taking() { ask_frontend(&attachment_state::begin_removal); }
void attachment_state::try_to_add() { ask_frontend(&attachment_state::add); }

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

// -- attach: the hardware first, then the guest is told

void attachment_state::grant() {
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, domain = domain_, address = address_] {
        if (has_already(all->host.xenstore(), domain, address)) {
          const auto who = kind_of(all->host, domain).map(describe).value_or(fmt::format("domain {}", domain));
          return pci::result<void>{pci::fail(EEXIST, fmt::format("{} has {} already", who, pci::to_string(address)))};
        }
        auto possible = check_without_device_model(all->host, domain, "pci-attach", address);
        return possible ? check_unclaimed(all->host.xenstore(), address) : possible;
      },
      [this](const pci::result<void>& unclaimed) {
        if (!unclaimed) {
          return fail(unclaimed.error());
        }
        self_->request(device_, caf::infinite, messages::grant_atom_v, domain_, how_)
            .then(
                [this](const messages::attach_options& done) {
                  how_ = done;
                  // It may have waited for the scrub after its last guest: now comes the new guest's time.
                  allow(all_->configuration->frontend_patience + toolstack_patience);
                  try_to_add();
                },
                [this](caf::error& error) { fail(messages::to_failure(error, "the function's actor ended")); });
      });
}

void attachment_state::add() {
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, domain = domain_, address = address_, plug = plug_,
       rdm = how_.rdm.value_or(pci::rdm_policy::strict)] {
        return add_device(all->host.xenstore(), domain, address, {.permissive = false, .rdm = rdm}, plug);
      },
      [this](const pci::result<void>& added) {
        if (added) {
          return look_at_addition();
        }
        if (is_overtaken(added)) {
          return again(&attachment_state::try_to_add);
        }
        undo(added.error());
      });
}

void attachment_state::look_at_addition() {
  listen();
  run_on<addition>(
      all_->store_worker, self_,
      [all = all_, domain = domain_, address = address_] {
        return actors::look_at_addition(all->host.xenstore(), domain, address);
      },
      [this](const pci::result<addition>& found) {
        if (!found) {
          return undo(found.error());
        }
        if (found->how == progress::done) {
          all_->failures->forget(address_);
          promise_.deliver(found->virtual_address);
          return self_->quit();
        }
        if (found->how == progress::refused) {
          return undo({EIO, fmt::format("the backend of domain {} refused {}: {}", domain_, pci::to_string(address_),
                                        found->error)});
        }
        if (time_is_over()) {
          return undo(
              {ETIMEDOUT,
               fmt::format("domain {} did not take {}: its PCI frontend {}", domain_, pci::to_string(address_),
                           found->frontend_error.empty() ? "does not answer" : "says: " + found->frontend_error)});
        }
        again_when_changed(&attachment_state::look_at_addition);
      });
}

void attachment_state::undo(const pci::failure& why) {
  failure_ = why;
  allow(toolstack_patience);
  take_nodes_back();
}

void attachment_state::take_nodes_back() {
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, domain = domain_, address = address_] {
        return remove_device(all->host.xenstore(), domain, address);
      },
      [this](const pci::result<void>& removed) {
        if (is_overtaken(removed)) {
          return again(&attachment_state::take_nodes_back);
        }
        self_->request(device_, caf::infinite, messages::revoke_atom_v, domain_)
            .then([this] { fail(failure_); }, [this](caf::error&) { fail(failure_); });
      });
}

// A guest that floods its nodes overtakes each transaction that has read one of them, until it is limited.
bool attachment_state::is_overtaken(const pci::result<void>& done) const {
  return !done && done.error().error == EAGAIN && !time_is_over();
}

// -- detach: the guest first, the hardware last

void attachment_state::begin_removal() {
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, domain = domain_, address = address_, forced = forced_, plug = plug_] {
        auto possible =
            forced ? pci::result<void>{} : check_without_device_model(all->host, domain, "pci-detach", address);
        return possible ? actors::begin_removal(all->host.xenstore(), domain, address, plug) : possible;
      },
      [this](const pci::result<void>& begun) {
        if (begun) {
          return look_at_removal();
        }
        if (is_overtaken(begun)) {
          return again(&attachment_state::begin_taking);
        }
        forced_ ? take_by_force() : fail(begun.error());
      });
}

void attachment_state::look_at_removal() {
  listen();
  run_on<progress>(
      all_->store_worker, self_,
      [all = all_, domain = domain_] { return actors::look_at_removal(all->host.xenstore(), domain); },
      [this](const pci::result<progress>& found) {
        if (!found) {
          return fail(found.error());
        }
        if (*found == progress::done) {
          return removal_agreed();
        }
        if (time_is_over() && forced_) {
          return take_by_force();
        }
        if (time_is_over()) {
          return fail({ETIMEDOUT, fmt::format("domain {} does not let go of {}", domain_, pci::to_string(address_))});
        }
        again_when_changed(&attachment_state::look_at_removal);
      });
}

// The backend takes a function whose nodes are gone, whatever the guest does. One that was granted and that the guest's
// backend has never seen has none.
void attachment_state::take_by_force() {
  spdlog::warn("{} is taken from domain {} by force", pci::to_string(address_), domain_);
  self_->request(device_, caf::infinite, messages::revoke_atom_v, domain_)
      .then([this] { removal_agreed(); }, [this](caf::error&) { removal_agreed(); });
}

// Nobody serves the guest of an earlier instance, so nobody returns a lease: the guest has let go, or had its time.
void attachment_state::take_inherited() {
  self_->request(device_, caf::infinite, messages::revoke_atom_v, domain_)
      .then([this] { wait_until_clean(); }, [this](caf::error&) { again(&attachment_state::wait_until_clean); });
}

void attachment_state::removal_agreed() {
  allow(reset_patience);
  remove_nodes();
}

void attachment_state::remove_nodes() {
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, domain = domain_, address = address_] {
        return remove_device(all->host.xenstore(), domain, address);
      },
      [this](const pci::result<void>& removed) {
        if (is_overtaken(removed)) {
          return again(&attachment_state::remove_nodes);
        }
        removed ? wait_until_clean() : fail(removed.error());
      });
}

void attachment_state::wait_until_clean() {
  self_->request(device_, caf::infinite, messages::status_atom_v)
      .then(
          [this](const messages::function_status& status) {
            if (status.domain && status.domain != domain_) { // it was clean, and the next guest has it already
              promise_.deliver(caf::unit);
              return self_->quit();
            }
            switch (status.state) {
            case messages::function_state::held:
            case messages::function_state::gone: // pulled out of the host: the guest has let go of it all the same
              promise_.deliver(caf::unit);
              return self_->quit();
            case messages::function_state::inherited:
              return take_inherited();
            case messages::function_state::failed:
              return fail({EIO, fmt::format("{} was taken back, but is {}: {}", pci::to_string(address_),
                                            to_string(status.state), status.detail)});
            default:
              if (time_is_over()) {
                return fail(
                    {ETIMEDOUT, fmt::format("{} is still {}{}{}", pci::to_string(address_), to_string(status.state),
                                            status.detail.empty() ? "" : ": ", status.detail)});
              }
              again(&attachment_state::wait_until_clean);
            }
          },
          [this](caf::error& error) { fail(messages::to_failure(error, "the function's actor ended")); });
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
      [state](messages::attach_atom, const messages::domain_name& domain, const pci::sbdf& address,
              const messages::attach_options& how) { return state->attach(domain, address, how); },
      [state](messages::detach_atom, const messages::domain_name& domain, const pci::sbdf& address) {
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
