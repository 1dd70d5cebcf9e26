// SPDX-License-Identifier: GPL-2.0-or-later
// How functions come to root and leave it: held by command, at start or when they appear; released; removed.
#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/jobs.hpp"
#include "actors/pump/pump.hpp"
#include "actors/root/attachment.hpp"
#include "actors/root/root.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"

namespace actors {

using messages::function_state;

caf::error root_state::not_held(const pci::sbdf& address) const {
  const auto text = pci::to_string(address);
  const auto refused = refused_.find(address);
  return messages::to_error(
      {ENODEV, refused == refused_.end()
                   ? fmt::format("{} is not held: `pcibackctl hold {}` takes it from dom0", text, text)
                   : fmt::format("{} is not held: {}", text, refused->second.detail)});
}

pci::failure root_state::held_already(const pci::sbdf& address) {
  return {EEXIST, fmt::format("{} is held already", pci::to_string(address))};
}

// -- holding

caf::result<void> root_state::hold(const pci::sbdf& address, bool seize) {
  auto promise = self_->make_response_promise();
  begin_hold(address, seize, [promise](const pci::result<void>& done) mutable { reply(promise, done); });
  return promise;
}

// A guest that runs may have the function, from a toolstack or from an earlier instance of the daemon: to scrub it
// would take the guest's interrupts away.
void root_state::begin_hold(const pci::sbdf& address, bool seize, const hold_done& told) {
  const hold_done done = [all = all_, address, told](const pci::result<void>& is) {
    if (is) {
      all->failures->forget(address);
    } else if (is.error().error != EEXIST) {
      all->failures->note(address, all->host.time().now(), is.error().context, is.error().error);
    }
    told(is);
  };
  if (devices_.contains(address)) {
    return done(tl::unexpected(held_already(address)));
  }
  run_on<claim>(
      all_->store_worker, self_,
      [all = all_, address]() -> pci::result<claim> {
        auto found = look_for_claims(*all, address);
        const auto driver = noted_driver(all->host.xenstore(), address);
        if ((found.unclaimed || found.guest) && !driver.empty()) {
          all->host.pci().remember_driver(address, driver);
        }
        return found;
      },
      [this, address, seize, done](const pci::result<claim>& found) {
        if (!found) {
          return done(tl::unexpected(found.error()));
        }
        // Held already, without a word of it in the journal.
        if (found->guest && !stopping_ && !devices_.contains(address)) {
          const auto set = all_->configuration.now();
          const auto wanted = set->devices.find(address);
          inherit(address, wanted == set->devices.end() ? settings::device{} : wanted->second, *found->guest,
                  std::nullopt);
        }
        if (!found->unclaimed) {
          return done(found->unclaimed);
        }
        run_on_new_thread<admission>(
            *all_, self_, [all = all_, address] { return admit(all->host, *all->configuration.now(), address); },
            [this, address, seize, done](const pci::result<admission>& what) { admitted(address, seize, what, done); });
      });
}

void root_state::admitted(const pci::sbdf& address, bool seize, const pci::result<admission>& what,
                          const hold_done& done) {
  if (!what) {
    return done(tl::unexpected(what.error()));
  }
  if (devices_.contains(address)) {
    return done(tl::unexpected(held_already(address))); // meanwhile, by another command
  }
  if (!what->objection.empty()) {
    refuse(*what);
    return done(pci::fail(EPERM, fmt::format("{} must not be held: {}", pci::to_string(address), what->objection)));
  }
  if (const auto bounds = all_->configuration->bounds; devices_.size() >= bounds.functions()) {
    return done(
        pci::fail(ENFILE, fmt::format("{} is not held: it would be function number {} of the daemon's, and the "
                                      "{} files that it may have open are enough for no more; raise LimitNOFILE "
                                      "of pcibackd.service",
                                      pci::to_string(address), devices_.size() + 1, bounds.descriptors())));
  }
  if (const auto child = held_virtual_function_of(address)) {
    return done(pci::fail(EBUSY, fmt::format("{} has a virtual function that is held, {}: it would go with its driver",
                                             pci::to_string(address), pci::to_string(*child))));
  }
  hold_now(address, seize, *what, done);
}

void root_state::hold_now(const pci::sbdf& address, bool seize, const admission& what, const hold_done& done) {
  refused_.erase(address);
  auto device = start_device(address, what.wanted);
  devices_.emplace(address, held{device, what.wanted, what.physical_function});
  self_->request(device, caf::infinite, messages::hold_atom_v, seize)
      .then(
          [this, address, done] {
            note_previous_driver(address, true);
            done({});
          },
          [done](caf::error& error) {
            done(tl::unexpected(messages::to_failure(error, "the function's actor ended")));
          });
}

// Shown beside those that are held, so that nobody looks for it in vain.
void root_state::refuse(const admission& what) {
  auto& shown = refused_[what.what.address];
  shown.address = what.what.address;
  shown.vendor = what.what.vendor;
  shown.device = what.what.device;
  shown.class_code = what.what.class_code;
  shown.state = function_state::refused;
  shown.detail = what.objection;
  all_->seen->events.tell({happening::refused, what.what.address, {}, {}, what.objection, {}});
}

std::optional<pci::sbdf> root_state::held_virtual_function_of(const pci::sbdf& address) const {
  for (const auto& [child, held] : devices_) {
    if (held.physical_function == address && !held.removed) {
      return child;
    }
  }
  return std::nullopt;
}

void root_state::note_previous_driver(const pci::sbdf& address, bool held) {
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, address, held]() -> pci::result<void> {
        const auto driver = held ? all->host.pci().previous_driver(address) : std::string{};
        return held && driver.empty() ? pci::result<void>{} : note_driver(all->host.xenstore(), address, driver);
      },
      [](const pci::result<void>& noted) {
        if (!noted) {
          spdlog::warn("the driver to give a function back to is not noted: {}", pci::to_string(noted.error()));
        }
      });
}

caf::result<void> root_state::release(const pci::sbdf& address, bool probe) {
  const auto found = devices_.find(address);
  if (found == devices_.end()) {
    return not_held(address);
  }
  auto promise = self_->make_response_promise();
  self_->request(found->second.device, caf::infinite, messages::release_atom_v, probe)
      .then(
          [this, address, probe, promise]() mutable {
            if (probe) { // otherwise a toolstack does the rest, and reads the note for it
              note_previous_driver(address, false);
            }
            promise.deliver(caf::unit);
          },
          [promise](caf::error& error) mutable { promise.deliver(error); });
  return promise;
}

// -- functions that come and go

void root_state::added(const pci::sbdf& address) {
  if (stopping_) {
    return;
  }
  const auto found = devices_.find(address);
  if (found == devices_.end()) {
    return hide(address);
  }
  // The kernel tells of functions again when it is asked to (udevadm trigger): only one that had gone is another.
  if (found->second.removed) {
    returning_.insert(address);
    leave(address);
  }
}

void root_state::hide(const pci::sbdf& address) {
  run_on_new_thread<std::optional<settings::device>>(
      *all_, self_,
      [all = all_, address]() -> pci::result<std::optional<settings::device>> {
        return wanted_when_added(all->host, *all->configuration.now(), address);
      },
      [this, address](const pci::result<std::optional<settings::device>>& wanted) {
        if (!wanted || !*wanted || stopping_) {
          return;
        }
        begin_hold(address, (*wanted)->seize, [address](const pci::result<void>& done) {
          if (done) {
            spdlog::info("{} has appeared and is held", pci::to_string(address));
          } else if (done.error().error != EEXIST) {
            spdlog::error("{} has appeared and is not held: {}", pci::to_string(address), pci::to_string(done.error()));
          }
        });
      });
}

void root_state::removed(const pci::sbdf& address) {
  refused_.erase(address);
  returning_.erase(address);
  const auto found = devices_.find(address);
  if (found == devices_.end()) {
    return;
  }
  found->second.removed = true;
  self_->send(found->second.device, messages::removed_atom_v);
  for (const auto& [id, actor] : domains_) {
    self_->send(actor, messages::removed_atom_v, address);
  }
  if (!found->second.withdrawing) { // else its guest is being asked already, and nobody asks twice
    withdraw_and_leave(address);
  }
}

void root_state::withdraw_and_leave(const pci::sbdf& address) {
  auto& going = devices_.at(address);
  going.withdrawing = true;
  withdraw(address, [this, address, number = going.device.id()] {
    const auto held = devices_.find(address);
    if (held == devices_.end() || held->second.device.id() != number) {
      return;
    }
    held->second.withdrawing = false;
    held->second.withdrawn = held->second.removed;
    leave(address);
  });
}

// Once its guest's nodes are gone. A virtual function comes and goes with its physical one's driver; of any other card
// the administrator is told that it is gone, until it is there again.
void root_state::leave(const pci::sbdf& address) {
  const auto& gone = devices_.at(address);
  if (gone.withdrawn && (gone.physical_function || returning_.contains(address))) {
    self_->send(gone.device, messages::leave_atom_v);
  }
}

// The driver of a physical function goes, and with it, sooner or later, the virtual ones: their guests let go first.
void root_state::unbound(const pci::sbdf& address) {
  if (const auto found = devices_.find(address); found != devices_.end()) {
    self_->send(found->second.device, messages::unbound_atom_v, false);
  }
  for (const auto& [child, held] : devices_) {
    if (held.physical_function == address && !held.removed) {
      spdlog::info("{} is withdrawn: the driver of its physical function {} is gone", pci::to_string(child),
                   pci::to_string(address));
      withdraw(child, [this, child = child] { release_unused(child); });
    }
  }
}

// Its guest is asked to let go, as by `detach`; its actor sees to the rest, and that it does not take for ever.
void root_state::waits(const pci::sbdf& address) {
  const auto found = devices_.find(address);
  if (found == devices_.end()) {
    // Before all is restored it may be a function that has no actor yet.
    if (restored_) {
      run_on_new_thread<void>(
          *all_, self_,
          [all = all_, address]() -> pci::result<void> {
            all->host.guards().release(address);
            return {};
          },
          [](const pci::result<void>&) {});
    }
    return;
  }
  self_->send(found->second.device, messages::waits_atom_v);
  self_->request(found->second.device, caf::infinite, messages::owner_atom_v)
      .then(
          [this, address](const messages::function_owner& owner) {
            if (owner.state == function_state::leased && devices_.contains(address)) {
              withdraw_and_leave(address);
            }
          },
          [](caf::error&) {});
}

void root_state::release_unused(const pci::sbdf& address) {
  const auto found = devices_.find(address);
  if (found == devices_.end() || found->second.removed) {
    return;
  }
  self_->request(found->second.device, caf::infinite, messages::release_atom_v, true)
      .then([this, address] { note_previous_driver(address, false); },
            [address](caf::error& error) {
              spdlog::error("{} is not released: {}", pci::to_string(address),
                            pci::to_string(messages::to_failure(error, "the function's actor ended")));
            });
}

// As `drain` does it: the guest's driver is asked, and the daemon goes on without it when it does not answer.
void root_state::withdraw(const pci::sbdf& address, std::function<void()> then) {
  const auto device = devices_.at(address).device;
  self_->request(device, caf::infinite, messages::owner_atom_v)
      .then(
          [this, address, then](const messages::function_owner& owner) {
            if (!owner.domain) {
              return then();
            }
            self_
                ->request(self_->spawn(attachment, all_, messages::root_actor(self_)), caf::infinite,
                          messages::drain_atom_v, *owner.domain, address)
                .then([then] { then(); },
                      [address, then](caf::error& error) {
                        spdlog::warn("{}: {}", pci::to_string(address),
                                     pci::to_string(messages::to_failure(error, "the detachment ended")));
                        then();
                      });
          },
          [](caf::error&) {});
}

// -- guests that come

void root_state::introduced() {
  all_->events.take_introductions();
  if (stopping_ || all_->configuration->assignments.empty()) {
    return;
  }
  run_on<std::vector<guest>>(
      all_->store_worker, self_,
      [all = all_]() -> pci::result<std::vector<guest>> { return list_guests(all->host.xenstore()); },
      [this](const pci::result<std::vector<guest>>& guests) {
        if (guests && !stopping_) {
          assign(*guests);
        }
      });
}

void root_state::assign(const std::vector<guest>& guests) {
  std::set<messages::domain_id> there;
  for (const auto& who : guests) {
    there.insert(who.domain);
    if (auto devices = assigned_to(*all_->configuration.now(), who.names);
        !devices.empty() && !gone(*all_, who.domain) && assigned_.insert(who.domain).second) {
      self_->spawn(assigner, all_, messages::root_actor(self_), who, std::move(devices));
    }
  }
  std::erase_if(assigned_, [&there](messages::domain_id domain) { return !there.contains(domain); });
}

} // namespace actors
