// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "messages/types.hpp"
#include "pci/address.hpp"

namespace actors {

/// What an administrator may want to hear of when it happens.
enum class happening : std::uint8_t {
  held,        ///< a function was taken from dom0, and is clean
  refused,     ///< a function is not held or not handed out, for the reason told
  inherited,   ///< a guest has it from an earlier instance of the daemon
  leased,      ///< a guest has it
  adopted,     ///< a guest that has it from an earlier instance is served again
  returned,    ///< its guest has it no more
  scrubbed,    ///< it is clean again
  failed,      ///< it could not be shown to be clean
  released,    ///< dom0 has it again
  removed,     ///< the hardware is gone
  stranded,    ///< the hardware went while a guest had interrupts of it
  error,       ///< it reported errors
  recovered,   ///< its guest has recovered it from an error
  unrecovered, ///< or has not
  connected,   ///< a guest's frontend and the backend are connected
  disconnected,
  unserved, ///< a guest has no functions any more
  ended,    ///< a guest is gone
};
inline constexpr std::array<std::string_view, 18> happening_names{
    "held",    "refused",  "inherited", "leased",    "adopted",     "returned",  "scrubbed",     "failed",   "released",
    "removed", "stranded", "error",     "recovered", "unrecovered", "connected", "disconnected", "unserved", "ended"};
[[nodiscard]] constexpr std::string_view to_string(happening what) {
  return happening_names[static_cast<std::size_t>(what)];
}

struct event {
  happening what{};
  std::optional<pci::sbdf> function;
  std::optional<messages::domain_id> domain;
  std::string guest;  ///< that domain in words; empty: unknown
  std::string detail; ///< why, or what; one line; empty: nothing to say
  std::chrono::system_clock::time_point when{};
};

/// Counts what happens, and tells it to who listens. Thread-safe.
class happenings {
public:
  /// Must return at once, whoever calls it.
  using listener = std::function<void(const event&)>;

  void tell(event what);
  [[nodiscard]] std::uint64_t count(happening what) const {
    return counts_[static_cast<std::size_t>(what)].load(std::memory_order_relaxed);
  }
  /// One at a time; empty: nobody.
  void listen(listener to);
  /// The last ones, the latest at the end.
  static constexpr std::size_t kept = 200;
  [[nodiscard]] std::deque<event> recent() const;

private:
  std::array<std::atomic<std::uint64_t>, happening_names.size()> counts_{};
  mutable std::mutex mutex_; ///< of what follows
  listener listener_;
  std::deque<event> recent_;
};

} // namespace actors
