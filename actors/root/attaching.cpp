// SPDX-License-Identifier: GPL-2.0-or-later
// How a function is given to a guest: the hardware first, then the guest is told.
#include <cerrno>

#include <fmt/format.h>

#include "actors/jobs.hpp"
#include "actors/root/attachment.hpp"
#include "actors/xenstore/backend_nodes.hpp"
#include "actors/xenstore/guest_kind.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace actors {
namespace {

pci::result<void> check_there(platform::store& store, messages::domain_id domain) {
  const auto there = store.read(pci::paths::home(domain, pci::node::domid));
  if (there) {
    return {};
  }
  return there.error().error == ENOENT ? pci::fail(ESRCH, fmt::format("domain {} is gone", domain))
                                       : tl::unexpected(there.error());
}

// And keeps it: while the guest lets go of something, nobody can say.
bool has_already(platform::store& store, messages::domain_id domain, const pci::sbdf& address) {
  const auto state = read_state(store, pci::paths::in(pci::paths::backend(domain), pci::node::state));
  return claimed_by(store, address) == domain && served_in(store, address) == domain &&
         state != pci::xenbus_state::reconfiguring && state != pci::xenbus_state::reconfigured;
}

pci::result<void> check_possible(platform::host& host, messages::domain_id domain, const pci::sbdf& address) {
  if (has_already(host.xenstore(), domain, address)) {
    const auto who = kind_of(host, domain).map(describe).value_or(fmt::format("domain {}", domain));
    return pci::fail(EEXIST, fmt::format("{} has {} already", who, pci::to_string(address)));
  }
  return check_there(host.xenstore(), domain)
      .and_then([&] { return check_needs_no_device_model(host, domain, "pci-attach", address); })
      .and_then([&] { return check_unclaimed(host.xenstore(), address); });
}

} // namespace

caf::result<pci::sbdf> attachment_state::attach(messages::domain_id domain, const pci::sbdf& address,
                                                const messages::attach_options& how) {
  how_ = how;
  self_->seen().is("attachment", fmt::format("{} to domain {}", pci::to_string(address), domain));
  return begin(domain, address, all_->configuration->frontend_patience + toolstack_patience,
               &attachment_state::begin_grant);
}

void attachment_state::begin_grant() { ask_frontend(&attachment_state::grant); }
void attachment_state::try_to_add() { ask_frontend(&attachment_state::add); }

void attachment_state::grant() {
  run_on<void>(
      all_->store_worker, self_,
      [all = all_, domain = domain_, address = address_] { return check_possible(all->host, domain, address); },
      [this](const pci::result<void>& possible) {
        if (!possible) {
          return fail(possible.error());
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

} // namespace actors
