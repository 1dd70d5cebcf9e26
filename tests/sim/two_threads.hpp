// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

/// What several threads of the daemon share, used by them for a moment as fast as they can. What goes wrong shows in
/// the counts, or to the thread sanitizer.
namespace test {

inline constexpr auto stress_time = std::chrono::milliseconds(400);

/// A thread that does the same again and again, from its construction until `finish`.
class again_and_again {
public:
  template <class Work>
  explicit again_and_again(Work work)
      : thread_([this, work = std::move(work)]() mutable {
          while (!ends_) {
            work();
            ++rounds_;
          }
        }) {}
  again_and_again(const again_and_again&) = delete;
  again_and_again& operator=(const again_and_again&) = delete;
  ~again_and_again() { finish(); }

  /// How often it has done it.
  [[nodiscard]] std::uint64_t rounds() const { return rounds_; }
  std::uint64_t finish() {
    ends_ = true;
    if (thread_.joinable()) {
      thread_.join();
    }
    return rounds_;
  }

private:
  std::atomic<bool> ends_{false};
  std::atomic<std::uint64_t> rounds_{0};
  std::thread thread_; ///< begins when the others are there
};

/// Whether it becomes so, with the patience that a machine with much else to do needs.
template <class Condition>
bool comes_to_be(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return true;
}

/// Lets the threads go on for a moment, and until enough has come of it.
template <class Enough>
void let_them_go_on(Enough enough) {
  std::this_thread::sleep_for(stress_time);
  static_cast<void>(comes_to_be(enough)); // what has not, the checks tell
}

} // namespace test
