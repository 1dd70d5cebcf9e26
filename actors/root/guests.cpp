// SPDX-License-Identifier: GPL-2.0-or-later
// How guests come to root and leave it: by their backend directories, and by what xenstored tells of domains.
#include "actors/domain/domain.hpp"
#include "actors/jobs.hpp"
#include "actors/pump/pump.hpp"
#include "actors/root/root.hpp"
#include "actors/xenstore/backend_nodes.hpp"

namespace actors {
namespace {

using namespace std::chrono_literals;

constexpr auto owner_patience = 2s;
// After xenstored has failed.
constexpr auto store_pause = 1s;

} // namespace

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

void root_state::serve_more(const unserved& guests) {
  run_on<std::vector<messages::domain_id>>(
      all_->store_worker, self_,
      [all = all_, first = guests.first] {
        if (first) {
          first(all->host.xenstore());
        }
        return list_backends(all->host.xenstore());
      },
      [this, guests](const pci::result<std::vector<messages::domain_id>>& backends) {
        if (!backends && guests.failed) {
          guests.failed();
        }
        for (const auto id : backends.value_or(std::vector<messages::domain_id>{})) {
          if (!domains_.contains(id) && guests.which(id)) {
            changed(id);
          }
        }
      });
}

// Guests that came while xenstored was away; the others' actors look for themselves. The births and deaths of domains
// are told by the watches for them.
void root_state::reread() {
  serve_more({.which = [](messages::domain_id) { return true; },
              .failed = [this] { self_->delayed_send(self_, store_pause, messages::reread_atom_v); },
              .first = {}});
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
    self_->request(held.device, owner_patience, messages::owner_atom_v)
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
  serve_more({.which = [this](messages::domain_id id) { return gone(*all_, id); },
              .failed = [this] { self_->delayed_send(self_, store_pause, messages::ended_atom_v); },
              .first =
                  [all = all_](platform::store& store) {
                    remove_stale_notes(store, [&all](messages::domain_id id) { return gone(*all, id); });
                  }});
}

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
