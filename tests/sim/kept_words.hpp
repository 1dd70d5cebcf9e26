// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

#include "platform/records.hpp"

namespace test {

/// Lasting words as they were when a daemon was killed. What runs here must still be taken apart; whatever that writes,
/// `put_back` undoes.
class kept_words {
public:
  explicit kept_words(platform::records& where) : where_(where.lasting().value()) {
    for (const auto& each : where_->all()) {
      values_.push_back(each);
    }
  }
  void put_back() const {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      where_->all()[i] = values_[i];
    }
  }

private:
  std::shared_ptr<platform::lasting_words> where_;
  std::vector<std::uint64_t> values_;
};

} // namespace test
