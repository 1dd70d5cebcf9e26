// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/look/operation_meter.hpp"

namespace actors {

operation_counts& operation_counts::operator+=(const operation_counts& other) {
  for (std::size_t kind = 0; kind < answered.size(); ++kind) {
    for (std::size_t result = 0; result < answered[kind].size(); ++result) {
      answered[kind][result] += other.answered[kind][result];
    }
  }
  for (std::size_t which = 0; which < times.size(); ++which) {
    times[which] += other.times[which];
  }
  taken += other.taken;
  return *this;
}

operation_counts operation_meter::count() const {
  operation_counts now;
  for (std::size_t kind = 0; kind < answered_.size(); ++kind) {
    for (std::size_t result = 0; result < answered_[kind].size(); ++result) {
      now.answered[kind][result] = answered_[kind][result].load(std::memory_order_relaxed);
    }
  }
  for (std::size_t which = 0; which < times_.size(); ++which) {
    now.times[which] = times_[which].load(std::memory_order_relaxed);
  }
  now.taken = std::chrono::nanoseconds(taken_.load(std::memory_order_relaxed));
  return now;
}

std::shared_ptr<operation_meter> operation_meters::make() {
  static_cast<void>(count()); // what connections have left behind does not pile up
  const std::lock_guard lock(mutex_);
  return running_.emplace_back(std::make_shared<operation_meter>());
}

operation_counts operation_meters::count() {
  const std::lock_guard lock(mutex_);
  std::erase_if(running_, [this](const auto& each) {
    if (each.use_count() > 1) {
      return false;
    }
    ended_ += each->count();
    return true;
  });
  auto all = ended_;
  for (const auto& each : running_) {
    all += each->count();
  }
  return all;
}

} // namespace actors
