// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model_world.hpp"

namespace model {

/// Moves in their order, as `actions()` has them.
using sequence = std::vector<const action*>;

/// A sequence by the names of its moves; fails the test when one is not known.
[[nodiscard]] sequence sequence_of(const std::vector<std::string>& names);
/// As it stands in a regression test.
[[nodiscard]] std::string to_text(const sequence& moves);

/// Plays a sequence in a new world, the daemon finishing its work after each move, then the end; what was wrong and
/// after which move. `steps`: the last move comes when the daemon has taken so many messages of its work on the one
/// before.
[[nodiscard]] complaints play(const sequence& moves, std::optional<unsigned> steps = {});

/// Tries every sequence of moves up to a length, and leaves out what leads to a world that was there before.
class explorer {
public:
  struct totals {
    std::size_t worlds = 0; ///< that differ
    std::size_t moves = 0;  ///< tried in one of them
    std::size_t plays = 0;  ///< worlds made from nothing
  };

  /// `start`, then every sequence of at most `depth` moves. Nothing follows a move that went wrong.
  void explore(const sequence& start, unsigned depth);
  /// Every two moves after `start`, the second coming when the daemon has taken at most `steps` messages of what the
  /// first one gives it to do.
  void race(const sequence& start, const std::vector<unsigned>& steps);

  [[nodiscard]] const totals& total() const { return totals_; }
  /// Sequences that went wrong, and how, ready for a test: one of each kind, and not of too many; empty: none did.
  [[nodiscard]] const std::string& report() const { return report_; }

private:
  struct place {
    sequence moves;
    std::string digest;
    unsigned left;
  };
  static constexpr std::size_t most_kinds = 12;
  void race(const sequence& start, const action& first, unsigned steps);
  void expand(const place& from, std::deque<place>& next);
  [[nodiscard]] std::unique_ptr<world> arrive(const sequence& moves);
  bool wrong(const sequence& moves, const complaints& found, const std::string& how);

  std::map<std::string, unsigned> known_; ///< digest → the moves that were left when it was expanded
  std::set<std::string> kinds_;           ///< of complaints
  totals totals_;
  std::string report_;
};

} // namespace model
