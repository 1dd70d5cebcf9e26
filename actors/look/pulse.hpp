// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace actors {

/// One actor, or one thread that works as one does, at one moment.
struct actor_account {
  std::uint64_t id = 0;
  std::uint64_t owner = 0;                        ///< who started it; 0: the daemon itself
  std::string kind;                               ///< "device", "domain", "job"; "starting": it has not run yet
  std::string subject;                            ///< "0000:03:00.0", "web (3)"; empty: there is only one of its kind
  std::string state;                              ///< in its own words; empty: it has none
  std::uint64_t waiting = 0;                      ///< messages that it has not begun with
  std::uint64_t handled = 0;                      ///< that it is done with
  unsigned restarts = 0;                          ///< after bugs
  std::optional<std::chrono::nanoseconds> oldest; ///< age of the oldest message that it is not done with; empty: none
  bool own_thread = false;
  bool lasts = true;   ///< it is no matter of one command or one piece of work
  bool answers = true; ///< false: what it was asked has waited for longer than a second
};

/// What can be seen of an actor without asking it. Its senders and the actor itself write here, with relaxed stores
/// only; anybody reads, also when the actor hangs.
class pulse {
public:
  using time = std::chrono::nanoseconds; ///< by the steady clock
  [[nodiscard]] static time now() { return std::chrono::steady_clock::now().time_since_epoch(); }
  static constexpr auto patience = std::chrono::seconds(1); ///< an older message says that the actor does not answer

  pulse(std::uint64_t id, std::uint64_t owner, bool own_thread) : id_(id), owner_(owner), own_thread_(own_thread) {}
  pulse(const pulse&) = delete;
  pulse& operator=(const pulse&) = delete;
  ~pulse() = default;

  [[nodiscard]] std::uint64_t id() const { return id_; }

  // -- who starts it, or itself

  void is(std::string_view kind, std::string subject = {});
  /// For one command, or one piece of work that may take its time: it is not expected to answer.
  void is_passing() { lasts_.store(false, std::memory_order_relaxed); }
  /// `text` must live for ever, as a literal does.
  void set_state(const char* text) { state_.store(text, std::memory_order_relaxed); }
  void set_restarts(unsigned count) { restarts_.store(count, std::memory_order_relaxed); }

  // -- whoever sends it something

  void arrived(time at) {
    const auto number = arrived_.fetch_add(1, std::memory_order_relaxed);
    arrivals_[number % arrivals_.size()].store(at.count(), std::memory_order_relaxed);
  }

  // -- the actor's own thread

  void begins(time at) { busy_since_.store(at.count(), std::memory_order_relaxed); }
  void ends(time at) {
    handled_.store(handled_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    busy_since_.store(0, std::memory_order_relaxed);
    if (handled_.load(std::memory_order_relaxed) >= arrived_.load(std::memory_order_relaxed)) {
      idle_at_.store(at.count(), std::memory_order_relaxed);
    }
  }

  /// It has found nothing to do.
  void rests() { busy_since_.store(0, std::memory_order_relaxed); }

  // -- anybody

  [[nodiscard]] actor_account account(time at) const;

private:
  [[nodiscard]] std::optional<time> oldest(std::uint64_t arrived, std::uint64_t handled) const;

  const std::uint64_t id_;
  const std::uint64_t owner_;
  const bool own_thread_;
  std::atomic<bool> lasts_{true};
  std::atomic<const char*> state_{""};
  std::atomic<unsigned> restarts_{0};
  std::atomic<std::uint64_t> arrived_{0};
  std::atomic<std::uint64_t> handled_{0};
  std::atomic<std::int64_t> busy_since_{0}; ///< 0: it is not
  std::atomic<std::int64_t> idle_at_{0};    ///< the last time that nothing was left to do
  /// When the last messages came. More than so many have waited for at least as long as the oldest of these.
  std::array<std::atomic<std::int64_t>, 64> arrivals_{};
  mutable std::mutex mutex_;     ///< of what follows
  std::string kind_{"starting"}; ///< until it runs for the first time
  std::string subject_;
};

} // namespace actors
