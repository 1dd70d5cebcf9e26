// SPDX-License-Identifier: GPL-2.0-or-later
// What root does first: it takes up what the journal of an earlier instance says.
#include "actors/root/root.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/jobs.hpp"
#include "actors/xenstore/sure_reads.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"

namespace actors {

caf::result<void> root_state::restore() {
  // Answered when the last of those that wait lets go of it.
  std::shared_ptr<caf::response_promise> last(new caf::response_promise(self_->make_response_promise()),
                                              [](caf::response_promise* promise) {
                                                promise->deliver(caf::unit);
                                                delete promise;
                                              });
  caf::result<void> later = *last;
  run_on<std::vector<remembered>>(
      all_->store_worker, self_, [all = all_] { return recall(*all); },
      [this, last](const pci::result<std::vector<remembered>>& found) {
        restored_ = true;
        for (const auto& each : found.value_or(std::vector<remembered>{})) {
          restore(each, last);
        }
        if (adopting_) {
          adopt();
        }
      });
  return later;
}

// Before all else that is restored, which takes as long as resets take: they wait for answers.
void root_state::adopt() {
  adopting_ = true;
  if (!restored_ || inherited_.empty()) {
    return;
  }
  serve_more({.which = [this](messages::domain_id id) { return inherited_.contains(id); }, .failed = {}, .first = {}});
}

// Guards of functions that no guest has, nor had, when the last instance ended. The journal may not know of one that
// has.
void root_state::release_guards(const environment& all, const std::vector<remembered>& known) {
  for (const auto& address : all.host.guards().guarded()) {
    const bool had = std::any_of(known.begin(), known.end(), [&](const auto& each) {
      return each.record.function.address == address && each.record.domain;
    });
    if (!had && !living_guest(all, address)) {
      all.host.guards().release(address);
    }
  }
}

pci::result<std::vector<root_state::remembered>> root_state::recall(const environment& all) {
  std::vector<remembered> found;
  for (auto& record : all.journal->load()) {
    const auto address = record.function.address;
    if (const auto driver = noted_driver(all.host.xenstore(), address); !driver.empty()) {
      all.host.pci().remember_driver(address, driver);
    }
    admission what; // as it was: guests wait while the host is asked
    what.what = pci::identity_of(record.function);
    what.physical_function = record.function.physical_function;
    const auto set = all.configuration.now();
    if (const auto* wanted = set->find(what.what)) {
      what.wanted = *wanted;
    }
    const auto guest = guest_of(all, record);
    const bool unannounced = guest && is_unannounced(all, record);
    found.push_back({std::move(record), std::move(what), guest, unannounced});
  }
  release_guards(all, found);
  return found;
}

// Xen says whether, the toolstack's nodes say who. A function that is not there has no guest, whatever Xen answers.
std::optional<messages::domain_id> root_state::living_guest(const environment& all, const pci::sbdf& address) {
  const auto has = all.host.xen().has_guest(address);
  if (has && !*has) {
    return std::nullopt;
  }
  const auto seen = all.host.pci().identify(address);
  if (!seen && (seen.error().error == ENODEV || seen.error().error == ENOENT)) {
    return std::nullopt;
  }
  auto& store = all.host.xenstore();
  for (const auto& named_by : {claimed_by, served_in}) { // the second reads the directories of all guests
    if (const auto who = named_by(store, address); who && !gone(all, *who)) {
      return who;
    }
  }
  return has ? std::optional(messages::unknown_domain) : std::nullopt;
}

// The last instance ended between its grant and the nodes that tell the guest: whoever asked for it will ask again.
bool root_state::is_unannounced(const environment& all, const function_record& record) {
  if (!record.granted) {
    return false;
  }
  // What is wrongly thought to be announced stays with the guest, and nobody takes it back: a moment's error must not
  // do that.
  constexpr int most_tries = 3;
  for (int tries = 0; tries < most_tries; ++tries) {
    const auto told =
        with_sure_reads(all.host.xenstore(), [&address = record.function.address](platform::store& store) {
          return pci::result<bool>(claimed_by(store, address) || served_in(store, address));
        });
    if (told) {
      return !*told;
    }
  }
  return false;
}

// The journal's word for it counts where nobody knows better: a toolstack that takes a function away has Xen and its
// own nodes forget the guest before the guest's vectors are unmapped.
std::optional<messages::domain_id> root_state::guest_of(const environment& all, const function_record& record) {
  const auto guest = living_guest(all, record.function.address);
  const bool recorded = record.domain && !gone(all, *record.domain) && (guest || !record.doubtful);
  // Of a guest with a stub domain the toolstack names the one, the journal the other.
  const bool agreed = !guest || *guest == messages::unknown_domain || guest == record.target;
  return recorded && agreed ? record.domain : guest;
}

root_state::claim root_state::look_for_claims(const environment& all, const pci::sbdf& address) {
  claim found;
  found.unclaimed = check_unclaimed(all.host.xenstore(), address);
  const auto guest = living_guest(all, address);
  if (!guest) {
    return found;
  }
  if (found.unclaimed) {
    found.unclaimed = pci::fail(EBUSY, fmt::format("{} belongs to a guest, according to Xen", pci::to_string(address)));
  }
  const auto driver = all.host.pci().driver(address);
  if (driver && platform::is_holder(*driver)) {
    found.guest = guest;
  }
  return found;
}

void root_state::inherit(const pci::sbdf& address, const settings::device& wanted, messages::domain_id domain,
                         std::optional<pci::sbdf> physical_function) {
  auto device = start_device(address, wanted);
  devices_.emplace(address, held{device, wanted, physical_function});
  spdlog::info("{}: an earlier instance gave it to {}", pci::to_string(address),
               domain == messages::unknown_domain ? std::string("a guest") : fmt::format("domain {}", domain));
  if (domain != messages::unknown_domain) {
    inherited_.insert(domain);
  }
  self_->send(device, messages::inherit_atom_v, domain);
}

void root_state::restore(const remembered& each, std::shared_ptr<caf::response_promise> last) {
  const auto& [record, what, guest, unannounced] = each;
  const auto address = record.function.address;
  if (stopping_ || devices_.contains(address)) {
    return;
  }
  // One whose removal waits is ended by what the record says, and not touched otherwise.
  const auto waits = all_->host.guards().state(address) == pci::guard_state::holding;
  if (guest || waits) {
    inherit(address, what.wanted, guest ? *guest : record.domain.value_or(messages::unknown_domain),
            what.physical_function);
    if (waits) {
      self_->send(devices_.at(address).device, messages::waits_atom_v);
    }
    if (unannounced) {
      self_->request(devices_.at(address).device, caf::infinite, messages::revoke_atom_v, *guest)
          .then([] {}, [](caf::error&) {});
    }
    return;
  }
  run_on_new_thread<admission>(
      *all_, self_, [all = all_, address] { return admit(all->host, *all->configuration.now(), address); },
      [this, last = std::move(last), as_it_was = what](const pci::result<admission>& now) {
        auto found = now.value_or(as_it_was); // of one that is not there any more its holding tells
        found.physical_function = as_it_was.physical_function;
        restore_unused(found, last);
      });
}

void root_state::restore_unused(const admission& what, std::shared_ptr<caf::response_promise> last) {
  const auto address = what.what.address;
  if (stopping_ || devices_.contains(address)) {
    return;
  }
  if (!what.objection.empty()) {
    spdlog::error("{} could not be held again: {}", pci::to_string(address), what.objection);
    all_->journal->forget(address);
    return refuse(what);
  }
  auto device = start_device(address, what.wanted);
  devices_.emplace(address, held{device, what.wanted, what.physical_function});
  self_->request(device, caf::infinite, messages::hold_atom_v, false)
      .then([last, address] { spdlog::info("{} is held again", pci::to_string(address)); },
            [this, last, address](caf::error& error) {
              const auto why = messages::to_failure(error, "its actor ended");
              spdlog::error("{} could not be held again: {}", pci::to_string(address), pci::to_string(why));
              if (why.error == ENODEV || why.error == EBUSY) { // it is not there, or somebody has taken it back
                all_->journal->forget(address);
              }
            });
}

} // namespace actors
