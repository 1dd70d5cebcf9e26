// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/look/census.hpp"

namespace actors {

census& census::all() {
  static census one;
  return one;
}

std::shared_ptr<pulse> census::enter(const caf::actor_system& system, std::uint64_t id, std::uint64_t owner,
                                     bool own_thread) {
  auto who = std::make_shared<pulse>(id, owner, own_thread);
  const std::lock_guard lock(mutex_);
  everybody_.insert_or_assign(key{&system, id}, who);
  return who;
}

std::shared_ptr<pulse> census::enter_thread(const caf::actor_system& system, std::uint64_t owner) {
  std::uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    id = ++last_thread_;
  }
  return enter(system, id, owner, true);
}

void census::leave(const caf::actor_system& system, const pulse& who) {
  const std::lock_guard lock(mutex_);
  everybody_.erase(key{&system, who.id()});
}

std::shared_ptr<pulse> census::find(const caf::actor_system& system, std::uint64_t id) const {
  const std::lock_guard lock(mutex_);
  const auto found = everybody_.find({&system, id});
  return found == everybody_.end() ? nullptr : found->second;
}

std::vector<actor_account> census::take(const caf::actor_system& system) const {
  std::vector<actor_account> seen;
  const auto now = pulse::now();
  const std::lock_guard lock(mutex_);
  for (auto each = everybody_.lower_bound({&system, 0}); each != everybody_.end() && each->first.first == &system;
       ++each) {
    seen.push_back(each->second->account(now));
  }
  return seen;
}

} // namespace actors
