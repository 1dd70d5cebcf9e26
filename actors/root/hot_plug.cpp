// SPDX-License-Identifier: GPL-2.0-or-later
// Functions that come and go by themselves: plugged in and pulled out, or with the driver of their physical function.
#include <cerrno>

#include <spdlog/spdlog.h>

#include "actors/jobs.hpp"
#include "actors/root/attachment.hpp"
#include "actors/root/root.hpp"

namespace actors {

using messages::function_state;

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
  run_on_new_thread<std::optional<arrival>>(
      *all_, self_,
      [all = all_, address]() -> pci::result<std::optional<arrival>> {
        return look_at_added(all->host, *all->configuration.now(), address);
      },
      [this, address](const pci::result<std::optional<arrival>>& found) {
        if (!found || !*found || stopping_) {
          return;
        }
        begin_hold(address, (*found)->seize, (*found)->admitted, [address](const pci::result<void>& done) {
          if (done) {
            spdlog::info("{} has appeared and is held", pci::to_string(address));
          } else if (done.error().error != EEXIST) {
            spdlog::error("{} has appeared, but could not be held: {}", pci::to_string(address),
                          pci::to_string(done.error()));
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

} // namespace actors
