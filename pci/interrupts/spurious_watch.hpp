// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string_view>

namespace pci {

/// What dom0's kernel counts for a line (/proc/irq/N/spurious). It starts again after 100,000 interrupts; of
/// `unhandled`, it starts again when more than 100 ms pass between two.
struct line_counts {
  std::uint64_t count = 0;
  std::uint64_t unhandled = 0; ///< no handler claimed them
  friend bool operator==(const line_counts&, const line_counts&) = default;
};

/// How near dom0's kernel is to giving a line up.
enum class line_danger : std::uint8_t {
  none,
  near,      ///< 10,000 unclaimed, and hardly any claimed
  very_near, ///< 50,000
  given_up,  ///< "nobody cared": dom0's devices on the line get no interrupts any more
};
/// "none", "near", "very near", "given up".
[[nodiscard]] std::string_view to_string(line_danger danger);

/// Watches the interrupts on a line that nobody in dom0 claims, by samples. A value.
class spurious_watch {
public:
  /// The kernel gives a line up when more than 99,900 of 100,000 interrupts went unclaimed (kernel/irq/spurious.c).
  static constexpr std::uint64_t window = 100000;
  static constexpr std::uint64_t tolerated = 99900;
  static constexpr std::uint64_t many = 1000;
  static constexpr std::uint64_t near = 10000;
  static constexpr std::uint64_t very_near = 50000;

  /// Returns true when the danger has grown since the last line that was told of it.
  [[nodiscard]] bool sample(const line_counts& counts);
  [[nodiscard]] line_danger danger() const { return danger_; }
  /// Hardly any interrupt of late was claimed, and there were many: worth a closer look.
  [[nodiscard]] bool pressing() const { return pressing_; }
  /// Unclaimed interrupts seen, at least: what comes and goes between two samples is not seen.
  [[nodiscard]] std::uint64_t spurious() const { return spurious_; }
  /// Interrupts went through the kernel's count since the last sample.
  [[nodiscard]] bool counting() const { return counting_; }

private:
  [[nodiscard]] line_danger judge(const line_counts& counts) const;

  line_counts last_;
  line_danger danger_ = line_danger::none;
  std::uint64_t spurious_ = 0;
  bool primed_ = false; ///< there is a last sample
  bool counting_ = false;
  bool pressing_ = false;
};

} // namespace pci
