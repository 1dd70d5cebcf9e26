// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "pci/address.hpp"
#include "platform/descriptor.hpp"

namespace platform::linux_host {

/// Keeps a function's descriptor open for the daemon after this one, however this one ends: one a function. What is
/// kept is the same open file, so that its close is noticed when all have closed it. Safe from any thread; each call
/// blocks for some milliseconds at most, or for as long as the keeper's patience if it does not answer.
class descriptor_keeper {
public:
  descriptor_keeper() = default;
  descriptor_keeper(const descriptor_keeper&) = delete;
  descriptor_keeper& operator=(const descriptor_keeper&) = delete;
  virtual ~descriptor_keeper() = default;

  /// Instead of what is kept already.
  virtual void keep(const pci::sbdf& address, int descriptor) = 0;
  /// What is kept, and goes on being kept; empty: nothing.
  [[nodiscard]] virtual descriptor take(const pci::sbdf& address) = 0;
  /// When this returns the keeper has closed it.
  virtual void drop(const pci::sbdf& address) = 0;
};

} // namespace platform::linux_host
