// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

namespace platform::sim {

/// A set of numbers as intervals: Xen's rangeset.
class ranges {
public:
  void add(std::uint64_t first, std::uint64_t count) {
    auto end = first + count;
    auto at = parts_.upper_bound(first);
    if (at != parts_.begin() && std::prev(at)->second >= first) {
      --at;
      first = at->first;
    }
    while (at != parts_.end() && at->first <= end) {
      end = std::max(end, at->second);
      at = parts_.erase(at);
    }
    parts_[first] = end;
  }
  void remove(std::uint64_t first, std::uint64_t count) {
    const auto end = first + count;
    auto at = parts_.upper_bound(first);
    if (at != parts_.begin() && std::prev(at)->second > first)
      --at;
    while (at != parts_.end() && at->first < end) {
      const auto [begin, stop] = *at;
      at = parts_.erase(at);
      if (begin < first)
        parts_[begin] = first;
      if (stop > end)
        at = parts_.emplace(end, stop).first;
    }
  }
  [[nodiscard]] bool contains(std::uint64_t number) const {
    const auto at = parts_.upper_bound(number);
    return at != parts_.begin() && number < std::prev(at)->second;
  }
  [[nodiscard]] bool empty() const { return parts_.empty(); }
  /// How many numbers are in it.
  [[nodiscard]] std::uint64_t size() const {
    std::uint64_t sum = 0;
    for (const auto& [begin, end] : parts_)
      sum += end - begin;
    return sum;
  }

private:
  std::map<std::uint64_t, std::uint64_t> parts_; ///< begin → one past the end
};

} // namespace platform::sim
