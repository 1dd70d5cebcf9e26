// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

namespace bench {

/// Durations of the same thing, in microseconds.
class samples {
public:
  explicit samples(std::size_t expected = 0) { values_.reserve(expected); }

  /// Times one call.
  template <class Work>
  void time(Work&& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    values_.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count());
  }
  void add(double value) { values_.push_back(value); }
  void add(const samples& more) { values_.insert(values_.end(), more.values_.begin(), more.values_.end()); }

  [[nodiscard]] std::size_t size() const { return values_.size(); }
  /// The nearest-rank percentile, `part` in 0..1; 0 without samples.
  [[nodiscard]] double percentile(double part) {
    if (values_.empty()) {
      return 0;
    }
    const auto rank = static_cast<std::size_t>(std::ceil(part * static_cast<double>(values_.size())));
    const auto index = static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1) - 1);
    std::nth_element(values_.begin(), values_.begin() + index, values_.end());
    return values_[static_cast<std::size_t>(index)];
  }
  [[nodiscard]] double median() { return percentile(0.5); }

private:
  std::vector<double> values_;
};

} // namespace bench
