// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string_view>
#include <vector>

namespace pci {

/// How many letters must be put in, left out, changed, or swapped with their neighbour, to make one word of the other
/// (the restricted Damerau-Levenshtein distance).
[[nodiscard]] inline std::size_t distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> before_last(to.size() + 1), last(to.size() + 1), row(to.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= from.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t change = from[i - 1] == to[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + change});
      if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
    before_last.swap(last);
    last.swap(row);
  }
  return last[to.size()];
}

/// The word that was probably meant: the one that is least mistakes away, at most one in three letters. Empty: none is
/// near.
template <class Words>
[[nodiscard]] std::string_view nearest(std::string_view word, const Words& words) {
  constexpr std::size_t longest = 64; // what is longer is no slip of the fingers, and costs its square
  std::string_view best;
  std::size_t least = word.size() > longest ? 0 : std::max<std::size_t>(word.size() / 3, 1) + 1;
  for (const std::string_view each : words) {
    if (least == 0 || each.size() > longest) {
      continue;
    }
    if (const auto mistakes = distance(word, each); mistakes < least) {
      least = mistakes;
      best = each;
    }
  }
  return best;
}

} // namespace pci
