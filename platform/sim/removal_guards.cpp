// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/removal_guards.hpp"

#include <cerrno>

#include <fmt/format.h>

namespace platform::sim {

using pci::guard_state;

pci::result<void> removal_guards::arm(const pci::sbdf& address) {
  std::lock_guard hold(mutex_);
  auto& guard = guards_[address];
  if (!possible_) {
    guard = guard_state::unguarded;
    return pci::fail(ENOTSUP, fmt::format("{}: this kernel has no userfaultfd", pci::to_string(address)));
  }
  guard = guard == guard_state::holding ? guard : guard_state::armed;
  return {};
}

void removal_guards::release(const pci::sbdf& address) {
  {
    std::lock_guard hold(mutex_);
    guards_.erase(address);
  }
  released_();
}

pci::guard_state removal_guards::state(const pci::sbdf& address) const {
  std::lock_guard hold(mutex_);
  const auto found = guards_.find(address);
  return found == guards_.end() ? guard_state::none : found->second;
}

std::vector<pci::sbdf> removal_guards::guarded() const {
  std::lock_guard hold(mutex_);
  std::vector<pci::sbdf> all;
  for (const auto& [address, state] : guards_)
    all.push_back(address);
  return all;
}

bool removal_guards::hold_up(const pci::sbdf& address) {
  std::lock_guard hold(mutex_);
  const auto found = guards_.find(address);
  if (found == guards_.end() || (found->second != guard_state::armed && found->second != guard_state::holding))
    return false;
  found->second = guard_state::holding;
  return true;
}

void removal_guards::set_possible(bool possible) {
  std::lock_guard hold(mutex_);
  possible_ = possible;
}

void removal_guards::lose() {
  {
    std::lock_guard hold(mutex_);
    for (auto& [address, state] : guards_)
      state = guard_state::unguarded;
  }
  released_();
}

void removal_guards::let_go() {
  {
    std::lock_guard hold(mutex_);
    for (auto& [address, state] : guards_)
      state = state == guard_state::holding ? guard_state::let_go : state;
  }
  released_();
}

} // namespace platform::sim
