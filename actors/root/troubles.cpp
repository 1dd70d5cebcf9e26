// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/root/troubles.hpp"

#include <algorithm>
#include <utility>

namespace actors {

void troubles::note(const pci::sbdf& address, std::chrono::nanoseconds now, std::string what, int error) {
  const std::lock_guard lock(mutex_);
  if (all_.size() >= functions && !all_.contains(address)) {
    return;
  }
  auto& own = all_[address];
  std::erase_if(own, [&what](const entry& each) { return each.what == what; });
  own.push_back({now, std::move(what), error});
  if (own.size() > kept) {
    own.pop_front();
  }
}

void troubles::forget(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  all_.erase(address);
}

std::vector<messages::trouble> troubles::of(const pci::sbdf& address, std::chrono::nanoseconds now) const {
  const std::lock_guard lock(mutex_);
  std::vector<messages::trouble> found;
  const auto own = all_.find(address);
  if (own != all_.end()) {
    std::ranges::transform(own->second, std::back_inserter(found), [now](const entry& each) {
      return messages::trouble{std::chrono::duration_cast<std::chrono::seconds>(now - each.when), each.what,
                               each.error};
    });
  }
  return found;
}

} // namespace actors
