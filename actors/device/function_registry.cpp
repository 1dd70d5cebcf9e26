// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/device/function_registry.hpp"

#include <algorithm>
#include <utility>

namespace actors {
namespace {

template <class T>
bool contains(const std::vector<T>& all, const T& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

} // namespace

void users::add(messages::domain_id domain, std::uint64_t resource, const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  users_[resource][domain].insert(address);
}

std::optional<users::user> users::add_alone(const guest& whose, const std::vector<std::uint64_t>& resources,
                                            const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  for (const auto resource : resources) {
    const auto used = users_.find(resource);
    if (used == users_.end()) {
      continue;
    }
    for (const auto& [domain, by] : used->second) {
      if (!contains(whose, domain)) {
        return user{domain, *by.begin()};
      }
    }
  }
  for (const auto resource : resources) {
    users_[resource][whose.front()].insert(address);
  }
  return std::nullopt;
}

std::vector<messages::domain_id> users::others(const guest& whose, std::uint64_t resource) const {
  const std::lock_guard lock(mutex_);
  std::vector<messages::domain_id> found;
  const auto used = users_.find(resource);
  if (used != users_.end()) {
    for (const auto& [domain, by] : used->second) {
      if (!contains(whose, domain)) {
        found.push_back(domain);
      }
    }
  }
  return found;
}

// Of a line that all guests of a host share, at each look at it.
std::size_t users::count_others(const guest& whose, std::uint64_t resource) const {
  const std::lock_guard lock(mutex_);
  const auto used = users_.find(resource);
  if (used == users_.end()) {
    return 0;
  }
  const std::set<messages::domain_id> own(whose.begin(), whose.end());
  const auto found = std::ranges::count_if(own, [&](messages::domain_id one) { return used->second.contains(one); });
  return used->second.size() - static_cast<std::size_t>(found);
}

bool users::remove(messages::domain_id domain, std::uint64_t resource, const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  const auto used = users_.find(resource);
  if (used == users_.end()) {
    return false;
  }
  auto& guests = used->second;
  const auto found = guests.find(domain);
  if (found != guests.end()) {
    found->second.erase(address);
    if (!found->second.empty()) {
      return true;
    }
    guests.erase(found);
  }
  if (guests.empty()) {
    users_.erase(used);
  }
  return false;
}

void vector_counts::set(messages::domain_id domain, const pci::sbdf& address, std::size_t count) {
  const std::lock_guard lock(mutex_);
  auto& mine = counts_[domain];
  count == 0 ? (void)mine.erase(address) : (void)mine.insert_or_assign(address, count);
  if (mine.empty()) {
    counts_.erase(domain);
  }
}

std::size_t vector_counts::others(messages::domain_id domain, const pci::sbdf& address) const {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(domain);
  std::size_t all = 0;
  for (const auto& [whose, count] : found == counts_.end() ? std::map<pci::sbdf, std::size_t>{} : found->second) {
    all += whose == address ? 0 : count;
  }
  return all;
}

pci::occupancy idle_functions::look(const pci::sbdf& address) const {
  const auto found = held_.find(address);
  if (found == held_.end()) {
    return pci::occupancy::foreign;
  }
  switch (found->second.is) {
  case state::idle:
    return pci::occupancy::idle;
  case state::quiet:
    return pci::occupancy::quiet;
  case state::busy:
  case state::lent:
    break;
  }
  return pci::occupancy::busy;
}

idle_functions::calls idle_functions::waiting_for(const pci::sbdf& address) const {
  calls all;
  for (const auto& [waiting, how] : held_) {
    if (how.wake && std::ranges::find(how.blockers, address) != how.blockers.end()) {
      all.push_back(how.wake);
    }
  }
  return all;
}

idle_functions::loan::loan(idle_functions& all, std::vector<pci::sbdf> which) : all_(all), which_(std::move(which)) {
  const std::lock_guard lock(all_.mutex_);
  std::vector<pci::occupancy> hit;
  for (const auto& address : which_) {
    hit.push_back(all_.look(address));
  }
  verdict_ = pci::judge(hit);
  if (verdict_ != pci::reset_verdict::permitted) {
    const auto worst = verdict_ == pci::reset_verdict::hits_foreign ? pci::occupancy::foreign : pci::occupancy::busy;
    for (std::size_t index = 0; index < hit.size(); ++index) {
      if (hit[index] == worst) {
        blockers_.push_back(which_[index]);
      }
    }
    which_.clear();
  }
  for (const auto& address : which_) {
    auto& lent = all_.held_[address];
    lent.before_loan = std::exchange(lent.is, state::lent);
  }
}

idle_functions::loan::~loan() {
  calls wake;
  {
    const std::lock_guard lock(all_.mutex_);
    for (const auto& address : which_) {
      const auto found = all_.held_.find(address);
      if (found == all_.held_.end()) {
        continue;
      }
      auto& back = found->second;
      back.is = back.before_loan;
      back.was_reset = back.was_reset || reset_;
      if (back.wake) {
        wake.push_back(back.wake);
      }
      const auto others = all_.waiting_for(address);
      wake.insert(wake.end(), others.begin(), others.end());
    }
    all_.returned_.notify_all();
  }
  for (const auto& each : wake) {
    each();
  }
}

void idle_functions::set_idle(const pci::sbdf& address) {
  calls wake;
  {
    const std::lock_guard lock(mutex_);
    auto& how = held_[address];
    how = {};
    how.is = state::idle;
    wake = waiting_for(address);
  }
  for (const auto& each : wake) {
    each();
  }
}

// Two that wait for each other: the second finds the first quiet, and resets both.
bool idle_functions::wait_for(const pci::sbdf& address, const std::vector<pci::sbdf>& blockers,
                              std::function<void()> wake) {
  calls others;
  {
    const std::lock_guard lock(mutex_);
    if (std::ranges::none_of(blockers, [&](const auto& each) { return look(each) == pci::occupancy::busy; })) {
      return false;
    }
    held_[address] = {state::quiet, state::quiet, false, blockers, std::move(wake)};
    others = waiting_for(address);
  }
  for (const auto& each : others) {
    each();
  }
  return true;
}

idle_functions::resumption idle_functions::resume(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  auto& how = held_[address];
  if (how.is == state::lent) {
    return resumption::later;
  }
  const bool was_reset = how.was_reset;
  how = {};
  return was_reset ? resumption::was_reset : resumption::try_again;
}

bool idle_functions::was_reset(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  const auto found = held_.find(address);
  return found != held_.end() && found->second.was_reset;
}

bool idle_functions::use(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  auto& how = held_[address];
  if (how.is == state::lent) {
    return false;
  }
  how = {};
  return true;
}

void idle_functions::wait_and_use(const pci::sbdf& address) {
  std::unique_lock lock(mutex_);
  returned_.wait(lock, [&] {
    const auto found = held_.find(address);
    return found == held_.end() || found->second.is != state::lent;
  });
  held_[address] = {};
}

void idle_functions::forget(const pci::sbdf& address) {
  calls wake;
  {
    const std::lock_guard lock(mutex_);
    held_.erase(address);
    wake = waiting_for(address);
  }
  for (const auto& each : wake) {
    each();
  }
}

} // namespace actors
