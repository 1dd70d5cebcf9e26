// SPDX-License-Identifier: GPL-2.0-or-later
// Settings that are others while the daemon runs. What guests have they keep: a function that is not to be held any
// more stays held, and one that is assigned to nobody any more stays its guest's.
#include <algorithm>

#include <spdlog/spdlog.h>

#include "actors/jobs.hpp"
#include "actors/root/root.hpp"

namespace actors {

void root_state::reload() {
  if (stopping_) {
    return;
  }
  const auto before = std::exchange(settled_, all_->configuration.now());
  for (const auto& [domain, limits] : limits_) {
    limits->set_rates(settled_->interrupt_rate, settled_->access_rate);
  }
  tell_policies();
  hold_more(before);
  assign_more(before);
}

void root_state::tell_policies() {
  std::vector<pci::sbdf> held;
  std::ranges::transform(devices_, std::back_inserter(held), [](const auto& each) { return each.first; });
  using wishes = std::map<pci::sbdf, settings::device>;
  run_on_new_thread<wishes>(
      *all_, self_,
      [all = all_, held, set = settled_]() -> pci::result<wishes> {
        wishes found;
        for (const auto& address : held) {
          if (const auto what = all->host.pci().identify(address)) {
            const auto* wanted = set->find(*what);
            found.emplace(address, wanted != nullptr ? *wanted : settings::device{});
          }
        }
        return found;
      },
      [this, set = settled_](const pci::result<wishes>& found) {
        for (const auto& [address, wanted] : found.value_or(wishes{})) {
          if (const auto one = devices_.find(address); one != devices_.end()) {
            one->second.wanted = wanted;
            self_->send(one->second.device, messages::reload_atom_v, wanted.policy_with(*set), wanted.keep_policy);
          }
        }
      });
}

// Not what was to be held before too: who released it since then wants it for dom0. But what was refused is tried
// again.
void root_state::hold_more(const live_settings::pointer& before) {
  using wanted = std::vector<std::pair<pci::sbdf, bool>>;
  run_on_new_thread<std::pair<wanted, wanted>>(
      *all_, self_,
      [all = all_, before, after = settled_]() -> pci::result<std::pair<wanted, wanted>> {
        return std::pair{functions_to_hold(all->host, *before), functions_to_hold(all->host, *after)};
      },
      [this](const pci::result<std::pair<wanted, wanted>>& lists) {
        if (!lists || stopping_) {
          return;
        }
        for (const auto& [address, seize] : lists->second) {
          const auto same = [&where = address](const auto& each) { return each.first == where; };
          const bool is_new = std::ranges::none_of(lists->first, same) || refused_.contains(address);
          if (!is_new || devices_.contains(address)) {
            continue;
          }
          begin_hold(address, seize, {}, [where = address](const pci::result<void>& done) {
            if (done) {
              spdlog::info("{} is held", pci::to_string(where));
            } else if (done.error().error != EEXIST) {
              spdlog::error("{} is not held: {}", pci::to_string(where), pci::to_string(done.error()));
            }
          });
        }
      });
}

void root_state::assign_more(const live_settings::pointer& before) {
  run_on<std::vector<guest>>(
      all_->store_worker, self_,
      [all = all_]() -> pci::result<std::vector<guest>> { return list_guests(all->host.xenstore()); },
      [this, before, after = settled_](const pci::result<std::vector<guest>>& guests) {
        for (const auto& who : stopping_ ? std::vector<guest>{} : guests.value_or(std::vector<guest>{})) {
          auto fresh = assigned_to(*after, who.names);
          for (const auto& address : assigned_to(*before, who.names)) {
            std::erase(fresh, address);
          }
          if (!fresh.empty() && !gone(*all_, who.domain)) {
            assigned_.insert(who.domain);
            self_->spawn(assigner, all_, messages::root_actor(self_), who, std::move(fresh));
          }
        }
      });
}

} // namespace actors
