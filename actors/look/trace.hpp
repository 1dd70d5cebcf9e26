// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "messages/types.hpp"
#include "pci/address.hpp"
#include "pci/protocol/operations.hpp"

namespace actors {

/// One operation of a guest's, as it was asked for and answered.
struct trace_record {
  std::chrono::nanoseconds begun{0}; ///< by the steady clock
  std::chrono::nanoseconds took{0};  ///< until it was answered
  pci::sbdf function;                ///< on the host; nothing when `found` is false
  bool found = false;                ///< the guest has a function at the address that it named
  messages::domain_id domain = 0;
  // What the guest named: any numbers.
  std::uint32_t segment = 0;
  std::uint32_t bus = 0;
  std::uint32_t devfn = 0;
  std::uint32_t code = 0;
  std::int32_t offset = 0;
  std::int32_t size = 0;
  std::uint32_t asked = 0; ///< the value that came with it
  std::uint32_t value = 0; ///< the one that went back
  std::uint16_t vectors = 0;
  pci::op_error error = pci::op_error::success;
};

/// What one thread writes and another reads, without either waiting: what finds no room is lost, and counted.
class trace_ring {
public:
  static constexpr std::size_t room = 4096; ///< a power of 2; 400 KiB

  /// The guest's thread.
  void push(const trace_record& what) {
    const auto head = head_.load(std::memory_order_relaxed);
    if (head - tail_.load(std::memory_order_acquire) == room) {
      lost_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    records_[head % room] = what;
    head_.store(head + 1, std::memory_order_release);
  }
  /// The reader: what has come, to the end of `into`. Returns how many were lost since the last time.
  std::uint64_t take(std::vector<trace_record>& into);
  /// The reader: forgets what has come.
  void clear();

private:
  std::array<trace_record, room> records_;
  std::atomic<std::uint64_t> head_{0}; ///< as many have been written
  std::atomic<std::uint64_t> tail_{0}; ///< and read
  std::atomic<std::uint64_t> lost_{0};
};

/// Where one connection's operations can be seen. While nobody looks, its thread loads one flag an operation.
class trace_tap {
public:
  /// `guest`: in words, "web (3)".
  trace_tap(messages::domain_id domain, std::string guest) : domain_(domain), guest_(std::move(guest)) {}
  trace_tap(const trace_tap&) = delete;
  trace_tap& operator=(const trace_tap&) = delete;
  ~trace_tap() = default;

  // -- the guest's thread: it never waits, and needs no memory

  [[nodiscard]] bool wanted() const { return ring_.load(std::memory_order_relaxed) != nullptr; }
  /// An operation has been answered; it is told of when `took` says how long that was.
  void answered(const trace_record& what);
  void took(std::chrono::nanoseconds begun, std::chrono::nanoseconds time) {
    if (pending_) {
      tell(begun, time);
    }
  }

  // -- the guest's actor

  /// The guest has the function from now on.
  void show(const messages::function_access& what);

  // -- trace_hub, one thread at a time

  [[nodiscard]] messages::domain_id domain() const { return domain_; }
  [[nodiscard]] const std::string& guest() const { return guest_; }
  [[nodiscard]] bool is_called(const std::string& text) const;
  void turn(bool on);
  [[nodiscard]] bool has_ring() const { return own_ != nullptr; }
  std::uint64_t take(std::vector<trace_record>& into) { return own_ ? own_->take(into) : 0; }
  /// Empty: none is known.
  [[nodiscard]] std::string register_name(const pci::sbdf& function, std::uint16_t offset) const;

private:
  void tell(std::chrono::nanoseconds begun, std::chrono::nanoseconds time);

  const messages::domain_id domain_;
  const std::string guest_;
  std::atomic<trace_ring*> ring_{nullptr};
  bool pending_ = false; ///< the guest's thread's, with what follows
  trace_record last_;
  std::unique_ptr<trace_ring> own_; ///< stays when nobody looks any more: the guest's thread may be writing
  mutable std::mutex mutex_;        ///< of what follows
  std::map<pci::sbdf, std::weak_ptr<const pci::function>> functions_;
};

/// What a trace wants to see; all that is set must fit.
struct trace_filter {
  std::optional<pci::sbdf> function; ///< on the host
  std::string guest;                 ///< a name or a number; empty: all
};

/// An operation with what is known of it.
struct traced {
  trace_record what;
  std::string guest;         ///< in words
  std::string register_name; ///< empty: none is known
};

struct trace_batch {
  std::vector<traced> operations;               ///< in the order of their beginnings, as far as they came together
  std::chrono::system_clock::duration epoch{0}; ///< to be added to `begun`
  std::uint64_t lost = 0;                       ///< so many came after these, and are missing
  std::size_t guests = 0;                       ///< that are traced
  std::size_t untraced = 0;                     ///< that should be, and are too many
  bool more = false;                            ///< has come already
};

/// The taps of all connections, and who looks at them. Thread-safe; no guest's thread ever waits for it.
class trace_hub {
public:
  static constexpr std::size_t most_traces = 4;
  static constexpr std::size_t most_guests = 64;     ///< at once; with all that follows at most 32 MiB
  static constexpr std::size_t most_waiting = 16384; ///< operations that a trace has not taken
  static constexpr std::size_t at_once = 1000;       ///< operations in one batch

  /// For one connection, which lets go of it at its end.
  [[nodiscard]] std::shared_ptr<trace_tap> open(messages::domain_id domain, std::string guest);
  /// What has come since the last time; begins the trace of that number if there is none. EBUSY: there are too many.
  [[nodiscard]] pci::result<trace_batch> take(std::uint64_t number, const trace_filter& what);
  void end(std::uint64_t number);

private:
  struct waiting {
    trace_record what;
    std::shared_ptr<trace_tap> from;
  };
  struct trace {
    trace_filter what;
    std::deque<waiting> operations;
    std::uint64_t lost = 0;
  };
  [[nodiscard]] std::vector<std::shared_ptr<trace_tap>> taps();
  [[nodiscard]] static bool wants(const trace& who, const trace_tap& tap);
  [[nodiscard]] static bool wants(const trace& who, const trace_record& what);
  void turn();
  void collect();

  std::mutex mutex_;
  std::vector<std::weak_ptr<trace_tap>> taps_;
  std::map<std::uint64_t, trace> traces_;
};

} // namespace actors
