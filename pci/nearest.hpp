// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pci {

/// How many letters have to be inserted, deleted, replaced or swapped with their neighbour to make one word of the
/// other (the restricted Damerau-Levenshtein distance). Counts bytes.
[[nodiscard]] std::size_t edit_distance(std::string_view left, std::string_view right);

/// The word that was most likely meant: the nearest, the first of several, if at most a third of the letters (one at
/// least) are different. Empty: none is near. Words and text beyond 64 bytes are not compared.
[[nodiscard]] std::optional<std::string> nearest(std::string_view text, std::span<const std::string> words);

} // namespace pci
