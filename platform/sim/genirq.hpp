// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>

#include "pci/interrupts/spurious_watch.hpp"

namespace platform::sim {

/// How dom0's kernel watches one interrupt line for interrupts that nobody claims (kernel/irq/spurious.c and manage.c
/// of Linux 6.1). A value.
class genirq_line {
public:
  static constexpr std::uint64_t window = pci::spurious_watch::window;
  static constexpr std::uint64_t tolerated = pci::spurious_watch::tolerated;
  static constexpr std::chrono::milliseconds gap{100}; ///< after which unclaimed ones are counted anew

  /// A handler is installed. The first one decides whether the line is watched; each gives a line that was given up
  /// another chance.
  void add_handler(bool noirqdebug);
  void remove_handler();
  /// The handlers have run.
  void note(bool claimed, std::chrono::nanoseconds now);

  [[nodiscard]] bool bound() const { return handlers_ != 0; }
  [[nodiscard]] bool disabled() const { return disabled_; }
  [[nodiscard]] const pci::line_counts& counts() const { return counts_; }

private:
  unsigned handlers_ = 0;
  bool watched_ = true;
  bool disabled_ = false; ///< "nobody cared"
  pci::line_counts counts_;
  std::chrono::nanoseconds last_unhandled_{0};
};

} // namespace platform::sim
