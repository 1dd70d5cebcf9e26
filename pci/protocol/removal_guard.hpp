// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "pci/protocol/guard_messages.hpp"

namespace pci {

/// The guard of one function: a read of its file in /proc/bus/pci that is kept waiting, so that the kernel, which waits
/// for reads before it tells Xen that a function goes, waits too. A value: each event answers what is to be done, which
/// is the keeper's (platform/linux/guard_keeper).
class removal_guard {
public:
  using duration = std::chrono::milliseconds;
  /// How long a removal waits while nobody watches: below the kernel's hung_task_timeout_secs, 120 s.
  static constexpr duration default_limit{100'000};
  /// And how long the next instance of the daemon has at least, to come back.
  static constexpr duration least_grace{10'000};

  enum class phase : std::uint8_t {
    open,     ///< no read
    entering, ///< a read was begun
    inside,   ///< it is known to wait
    leaving,  ///< it was let go, and has not yet ended
  };
  enum class effect : std::uint8_t {
    none,
    read, ///< begin a read
    fill, ///< let the read end
  };
  struct outcome {
    effect what = effect::none;
    std::optional<guard_news::kind> tell;
    int error = 0; ///< of `failed`
    friend bool operator==(const outcome&, const outcome&) = default;
  };
  /// What a look at the function has shown.
  struct sight {
    bool going = false;    ///< its file in /proc/bus/pci has no name any more: a removal waits for the read
    bool spinning = false; ///< the read takes processor time, as after a freezer or a debugger has touched it
    duration now{0};
    duration unwatched{0}; ///< for how long nobody has watched; 0: somebody does
  };

  [[nodiscard]] outcome arm();
  [[nodiscard]] outcome release();
  /// The read has been seen to wait.
  [[nodiscard]] outcome entered();
  /// The read has ended; `error`: 0 or errno.
  [[nodiscard]] outcome ended(int error);
  [[nodiscard]] outcome look(const sight& seen, duration limit = default_limit);
  /// dom0 is about to sleep. A removal that waits still does.
  [[nodiscard]] outcome suspend();
  [[nodiscard]] outcome resume();

  [[nodiscard]] phase now() const { return phase_; }
  [[nodiscard]] bool waits() const { return waiting_since_.has_value(); }
  /// What there is to tell of it to one who asks; empty: nothing, it can be forgotten.
  [[nodiscard]] std::optional<guard_news::kind> account() const;
  /// Nothing of it is under way: neither begins nor ends.
  [[nodiscard]] bool settled() const { return phase_ == phase::open || phase_ == phase::inside; }

private:
  [[nodiscard]] outcome begin();
  [[nodiscard]] outcome let_end(std::optional<guard_news::kind> tell = std::nullopt);

  phase phase_ = phase::open;
  bool wanted_ = false;
  bool suspended_ = false;
  bool let_go_ = false;
  bool answer_ = false; ///< somebody waits for `released`
  std::optional<duration> waiting_since_;
};

} // namespace pci
