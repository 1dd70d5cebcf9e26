#include "actors/device/neighbours.hpp"

namespace actors {

void line_users::add(messages::domain_id domain, unsigned gsi, const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  users_[{domain, gsi}].insert(address);
}

bool line_users::remove(messages::domain_id domain, unsigned gsi, const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  const auto found = users_.find({domain, gsi});
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

} // namespace actors
