// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>

namespace pci {

/// How many functions a process has descriptors for, each with a guest of its own. At the bound the next is refused,
/// with the reason, so that those that are there keep what they need: a reset, a record of the journal, an
/// administrator's connection. A value.
class resource_bounds {
public:
  /// Its own files, the control socket's connections, xenstore, and what passing work opens.
  static constexpr std::size_t reserve = 128;
  /// A function's configuration space, its interrupt's device, a file of a job on it, and its guest's channel.
  static constexpr std::size_t each_function = 4;

  /// None.
  resource_bounds() = default;
  /// `descriptors`: how many the process may have open (RLIMIT_NOFILE).
  explicit resource_bounds(std::size_t descriptors) : descriptors_(descriptors) {}

  [[nodiscard]] std::size_t descriptors() const { return descriptors_; }
  /// How many may be held: one at least.
  [[nodiscard]] std::size_t functions() const {
    return descriptors_ > reserve ? std::max<std::size_t>((descriptors_ - reserve) / each_function, 1) : 1;
  }

private:
  std::size_t descriptors_ = std::numeric_limits<std::size_t>::max();
};

} // namespace pci
