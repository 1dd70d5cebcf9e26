// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string_view>

#include "pci/protocol/operations.hpp"

namespace actors {

/// What guests ask for, as it is counted.
inline constexpr std::array<std::string_view, 7> operation_kinds{
    "conf_read", "conf_write", "enable_msi", "disable_msi", "enable_msix", "disable_msix", "other"};
[[nodiscard]] constexpr std::size_t kind_of_operation(std::uint32_t code) {
  return code < operation_kinds.size() - 1 ? code : operation_kinds.size() - 1;
}
/// What they are answered.
inline constexpr std::array<std::string_view, 6> operation_results{"success",       "dev_not_found",   "invalid_offset",
                                                                   "access_denied", "not_implemented", "op_failed"};
[[nodiscard]] constexpr std::size_t result_of_operation(pci::op_error error) {
  return static_cast<std::size_t>(-static_cast<std::int32_t>(error));
}

/// Upper ends of the classes of how long operations take; there is one more without an end.
inline constexpr std::array<std::chrono::nanoseconds, 18> operation_times{
    std::chrono::nanoseconds{1'000},       std::chrono::nanoseconds{2'000},
    std::chrono::nanoseconds{5'000},       std::chrono::nanoseconds{10'000},
    std::chrono::nanoseconds{20'000},      std::chrono::nanoseconds{50'000},
    std::chrono::nanoseconds{100'000},     std::chrono::nanoseconds{200'000},
    std::chrono::nanoseconds{500'000},     std::chrono::nanoseconds{1'000'000},
    std::chrono::nanoseconds{2'000'000},   std::chrono::nanoseconds{5'000'000},
    std::chrono::nanoseconds{10'000'000},  std::chrono::nanoseconds{20'000'000},
    std::chrono::nanoseconds{50'000'000},  std::chrono::nanoseconds{100'000'000},
    std::chrono::nanoseconds{500'000'000}, std::chrono::nanoseconds{1'000'000'000}};

struct operation_counts {
  std::array<std::array<std::uint64_t, operation_results.size()>, operation_kinds.size()> answered{};
  std::array<std::uint64_t, operation_times.size() + 1> times{}; ///< not cumulative; the last one has no end
  std::chrono::nanoseconds taken{0};                             ///< all together

  operation_counts& operator+=(const operation_counts& other);
};

/// The operations of one connection. Only the thread that serves it writes, without a locked instruction.
class operation_meter {
public:
  void answered(std::uint32_t code, pci::op_error error) {
    add(answered_[kind_of_operation(code)][result_of_operation(error)], 1);
  }
  /// From the event, or from when it was found in the page, until it was answered.
  void took(std::chrono::nanoseconds time) {
    std::size_t which = 0;
    while (which < operation_times.size() && operation_times[which] < time) {
      ++which;
    }
    add(times_[which], 1);
    add(taken_, static_cast<std::uint64_t>(time.count()));
  }
  [[nodiscard]] operation_counts count() const;

private:
  using counter = std::atomic<std::uint64_t>;
  static void add(counter& to, std::uint64_t what) {
    to.store(to.load(std::memory_order_relaxed) + what, std::memory_order_relaxed);
  }
  std::array<std::array<counter, operation_results.size()>, operation_kinds.size()> answered_{};
  std::array<counter, operation_times.size() + 1> times_{};
  counter taken_{0}; ///< ns
};

/// Those of all connections, also of those that have ended. Thread-safe.
class operation_meters {
public:
  /// For one connection, which lets go of it at its end.
  [[nodiscard]] std::shared_ptr<operation_meter> make();
  [[nodiscard]] operation_counts count();

private:
  std::mutex mutex_;
  std::list<std::shared_ptr<operation_meter>> running_;
  operation_counts ended_;
};

} // namespace actors
