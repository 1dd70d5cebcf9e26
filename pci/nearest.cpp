// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/nearest.hpp"

#include <algorithm>
#include <vector>

namespace pci {
namespace {

// The table grows with the product of the lengths.
constexpr std::size_t longest_word = 64;

} // namespace

std::size_t edit_distance(std::string_view left, std::string_view right) {
  const auto columns = right.size() + 1;
  std::vector<std::size_t> table((left.size() + 1) * columns);
  const auto at = [&](std::size_t row, std::size_t column) -> std::size_t& { return table[row * columns + column]; };
  for (std::size_t row = 0; row <= left.size(); ++row) {
    for (std::size_t column = 0; column <= right.size(); ++column) {
      if (row == 0 || column == 0) {
        at(row, column) = row + column;
        continue;
      }
      const std::size_t replaced = left[row - 1] == right[column - 1] ? 0 : 1;
      auto best = std::min({at(row - 1, column) + 1, at(row, column - 1) + 1, at(row - 1, column - 1) + replaced});
      if (row > 1 && column > 1 && left[row - 1] == right[column - 2] && left[row - 2] == right[column - 1]) {
        best = std::min(best, at(row - 2, column - 2) + 1);
      }
      at(row, column) = best;
    }
  }
  return table.back();
}

std::optional<std::string> nearest(std::string_view text, std::span<const std::string> words) {
  std::optional<std::string> found;
  auto best = std::max<std::size_t>(1, text.size() / 3) + 1;
  for (const auto& word : words) {
    if (word.empty() || text.empty() || word.size() > longest_word || text.size() > longest_word) {
      continue;
    }
    if (const auto distance = edit_distance(text, word); distance < best) {
      best = distance;
      found = word;
    }
  }
  return found;
}

} // namespace pci
