// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <utility>
#include <vector>

/// Tables for people.
namespace client_program {

/// Where a text is shown.
struct view {
  unsigned width = 0; ///< of the terminal, in columns; 0: there is none, and lines are as long as they are
  bool colour = false;
};
/// Standard output's: its terminal's width; coloured on a terminal, unless NO_COLOR is set (https://no-color.org), or
/// the terminal is a dumb one.
[[nodiscard]] view view_of_output();

enum class tint : unsigned char { plain, good, bad, odd };

struct cell {
  // A text is a cell.
  cell(std::string is, tint how = tint::plain) : text(std::move(is)), colour(how) {} // NOLINT(*-explicit-*)
  cell(const char* is) : text(is) {}                                                 // NOLINT(*-explicit-*)
  std::string text;                                                                  ///< empty is shown as "-"
  tint colour = tint::plain;
};

struct column {
  std::string name;
  unsigned expendable = 0; ///< on a terminal that is too narrow, the greatest goes first; 0: it stays
  bool wraps = false;      ///< a long text goes on in the next line; else it is cut off
};

using row = std::vector<cell>;

/// One line a row, columns as wide as they must be, none of it longer than the terminal is wide: first expendable
/// columns are left out, then what is too long is wrapped or cut off. Without a terminal nothing is. Colours as `how`
/// says.
[[nodiscard]] std::string render(std::vector<column> columns, std::vector<row> rows, const view& how);

} // namespace client_program
