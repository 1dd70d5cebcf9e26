// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <mutex>
#include <utility>

#include "pci/settings.hpp"

namespace actors {

using pci::settings;

/// The settings that hold now. They may be others a moment later, so who looks more than once at what must fit together
/// takes `now` and keeps it. Thread-safe; copies are the same settings.
class live_settings {
public:
  using pointer = std::shared_ptr<const settings>;

  live_settings(settings first = {}) // NOLINT(*-explicit-*): settings are live from the start
      : all_(std::make_shared<shared>(std::make_shared<const settings>(std::move(first)))) {}

  [[nodiscard]] pointer now() const {
    const std::lock_guard lock(all_->mutex);
    return all_->current;
  }
  /// For one look: what it returns lives as long as the expression.
  [[nodiscard]] pointer operator->() const { return now(); }
  void set(settings next) const {
    auto made = std::make_shared<const settings>(std::move(next));
    const std::lock_guard lock(all_->mutex);
    all_->current.swap(made); // the last ones end after the lock
  }
  /// `change` gets a copy, which holds from then on.
  template <class Change>
  void change(Change how) const {
    auto next = *now();
    how(next);
    set(std::move(next));
  }

private:
  struct shared {
    explicit shared(pointer first) : current(std::move(first)) {}
    std::mutex mutex;
    pointer current;
  };
  std::shared_ptr<shared> all_;
};

} // namespace actors
