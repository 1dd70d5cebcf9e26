#include "actors/device/neighbours.hpp"

#include <algorithm>

namespace actors {
namespace {

template <class T>
bool contains(const std::vector<T>& all, const T& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

} // namespace

void users::add(messages::domain_id domain, std::uint64_t thing, const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  users_[{domain, thing}].insert(address);
}

std::optional<users::user> users::add_alone(const guest& whose, const std::vector<std::uint64_t>& things,
                                            const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, functions] : users_) {
    if (!contains(whose, key.first) && contains(things, key.second)) {
      return user{key.first, *functions.begin()};
    }
  }
  for (const auto thing : things) {
    users_[{whose.front(), thing}].insert(address);
  }
  return std::nullopt;
}

std::vector<messages::domain_id> users::others(const guest& whose, std::uint64_t thing) const {
  const std::lock_guard lock(mutex_);
  std::vector<messages::domain_id> found;
  for (const auto& [key, functions] : users_) {
    if (!contains(whose, key.first) && key.second == thing) {
      found.push_back(key.first);
    }
  }
  return found;
}

bool users::remove(messages::domain_id domain, std::uint64_t thing, const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  const auto found = users_.find({domain, thing});
  if (found == users_.end()) {
    return false;
  }
  found->second.erase(address);
  if (!found->second.empty()) {
    return true;
  }
  users_.erase(found);
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

turns::turn::turn(turns& all, const pci::sbdf& address) : all_(all), address_(address) {
  const std::lock_guard lock(all_.mutex_);
  auto& queue = all_.waiting_[address_];
  place_ = queue.insert(queue.end(), this);
}

void turns::turn::wait() {
  std::unique_lock lock(all_.mutex_);
  all_.ended_.wait(lock, [this] { return ended_ || all_.waiting_[address_].front() == this; });
}

void turns::turn::end() {
  const std::lock_guard lock(all_.mutex_);
  if (std::exchange(ended_, true)) {
    return;
  }
  const auto found = all_.waiting_.find(address_);
  found->second.erase(place_);
  if (found->second.empty()) {
    all_.waiting_.erase(found);
  }
  all_.ended_.notify_all();
}

idle_functions::loan::loan(idle_functions& all, std::vector<pci::sbdf> which) : all_(all), which_(std::move(which)) {
  const std::lock_guard lock(all_.mutex_);
  std::vector<pci::occupancy> hit;
  for (const auto& address : which_) {
    const auto found = all_.held_.find(address);
    hit.push_back(found == all_.held_.end()      ? pci::occupancy::foreign
                  : found->second == state::idle ? pci::occupancy::idle
                                                 : pci::occupancy::busy);
  }
  verdict_ = pci::judge(hit);
  if (verdict_ != pci::reset_verdict::permitted) {
    which_.clear();
  }
  for (const auto& address : which_) {
    all_.held_[address] = state::lent;
  }
}

idle_functions::loan::~loan() {
  const std::lock_guard lock(all_.mutex_);
  for (const auto& address : which_) {
    if (const auto found = all_.held_.find(address); found != all_.held_.end()) {
      found->second = state::idle;
    }
  }
  all_.returned_.notify_all();
}

void idle_functions::set_idle(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  held_[address] = state::idle;
}

bool idle_functions::use(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  const auto [where, is_new] = held_.try_emplace(address, state::busy);
  if (where->second == state::lent) {
    return false;
  }
  where->second = state::busy;
  return true;
}

void idle_functions::wait_and_use(const pci::sbdf& address) {
  std::unique_lock lock(mutex_);
  returned_.wait(lock, [&] {
    const auto found = held_.find(address);
    return found == held_.end() || found->second != state::lent;
  });
  held_[address] = state::busy;
}

void idle_functions::forget(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  held_.erase(address);
}

} // namespace actors
