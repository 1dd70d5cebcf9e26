// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/view.hpp"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string_view>

#include <libsmartcols/libsmartcols.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace client_program {
namespace {

constexpr std::size_t gap = 2;
// What a column that wraps should have at least: others are left out for that. And what makes wrapping worth it.
constexpr std::size_t least_of_wrapped = 24;
constexpr std::size_t least_to_wrap = 8;

struct table_closer {
  void operator()(libscols_table* table) const { ::scols_unref_table(table); }
};

std::size_t width_of(const std::vector<row>& rows, std::size_t index, const column& is) {
  auto width = is.name.size();
  for (const auto& each : rows) {
    width = std::max(width, each[index].text.size());
  }
  return is.wraps ? std::min(width, least_of_wrapped) : width;
}

void leave_out(std::vector<column>& columns, std::vector<row>& rows, std::size_t index) {
  columns.erase(columns.begin() + static_cast<std::ptrdiff_t>(index));
  for (auto& each : rows) {
    each.erase(each.begin() + static_cast<std::ptrdiff_t>(index));
  }
}

void fit(std::vector<column>& columns, std::vector<row>& rows, unsigned width) {
  for (;;) {
    std::size_t wanted = gap * (columns.size() - 1);
    for (std::size_t index = 0; index < columns.size(); ++index) {
      wanted += width_of(rows, index, columns[index]);
    }
    const auto first = std::ranges::max_element(columns, {}, &column::expendable);
    if (wanted <= width || first->expendable == 0) {
      return;
    }
    leave_out(columns, rows, static_cast<std::size_t>(first - columns.begin()));
  }
}

const char* sequence_of(tint colour) {
  switch (colour) {
  case tint::good:
    return "green";
  case tint::bad:
    return "red";
  case tint::odd:
    return "brown"; // yellow, as terminals show it
  case tint::plain:
    return nullptr;
  }
  return nullptr;
}

/// What the columns leave of the width to the one that wraps; 0: too little, or nothing has to be wrapped.
std::size_t room_for_wrapped(const std::vector<column>& columns, const std::vector<row>& rows, unsigned width) {
  std::size_t others = gap * (columns.size() - 1);
  for (std::size_t index = 0; index < columns.size(); ++index) {
    others += columns[index].wraps ? 0 : width_of(rows, index, columns[index]);
  }
  return others + least_to_wrap <= width ? width - others : 0;
}

/// With an end of line before each word that would go beyond `width`; a longer word is broken.
std::string wrapped(std::string_view text, std::size_t width) {
  std::string result;
  while (text.size() > width) {
    const auto blank = text.rfind(' ', width);
    const auto end = blank == std::string_view::npos || blank == 0 ? width : blank;
    result.append(text.substr(0, end)).append("\n");
    text.remove_prefix(blank == end ? end + 1 : end);
  }
  return result.append(text);
}

void add_row(libscols_table* table, const row& from) {
  auto* line = ::scols_table_new_line(table, nullptr);
  for (std::size_t index = 0; line != nullptr && index < from.size(); ++index) {
    ::scols_line_set_data(line, index, from[index].text.empty() ? "-" : from[index].text.c_str());
    if (const auto* colour = sequence_of(from[index].colour)) {
      ::scols_cell_set_color(::scols_line_get_cell(line, index), colour);
    }
  }
}

// libsmartcols fills lines up with blanks.
std::string trimmed(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    auto line = text.substr(0, end);
    line = line.substr(0, line.find_last_not_of(' ') + 1);
    result.append(line).append("\n");
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

} // namespace

view view_of_output() {
  view is;
  if (::isatty(STDOUT_FILENO) == 0) {
    return is;
  }
  winsize size{};
  is.width = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0 ? size.ws_col : 80U;
  const auto* off = std::getenv("NO_COLOR");
  const auto* terminal = std::getenv("TERM");
  is.colour = (off == nullptr || *off == '\0') && terminal != nullptr && std::string_view{terminal} != "dumb";
  return is;
}

std::string render(std::vector<column> columns, std::vector<row> rows, const view& how) {
  std::size_t room = 0;
  if (how.width != 0) {
    fit(columns, rows, how.width);
    room = room_for_wrapped(columns, rows, how.width);
  }
  const std::unique_ptr<libscols_table, table_closer> table(::scols_new_table());
  if (!table) {
    throw std::bad_alloc();
  }
  ::scols_table_set_column_separator(table.get(), "  ");
  ::scols_table_set_termforce(table.get(), how.width == 0 ? SCOLS_TERMFORCE_NEVER : SCOLS_TERMFORCE_ALWAYS);
  if (how.width != 0) {
    ::scols_table_set_termwidth(table.get(), how.width);
  }
  ::scols_table_enable_colors(table.get(), how.colour ? 1 : 0);
  for (std::size_t index = 0; index < columns.size(); ++index) {
    const bool wraps = columns[index].wraps && room != 0;
    const auto flags = how.width == 0 ? 0 : wraps ? SCOLS_FL_WRAP : room == 0 ? SCOLS_FL_TRUNC : 0;
    auto* made = ::scols_table_new_column(table.get(), columns[index].name.c_str(), 0, flags);
    if (wraps && made != nullptr) {
      ::scols_column_set_wrapfunc(made, ::scols_wrapnl_chunksize, ::scols_wrapnl_nextchunk, nullptr);
      ::scols_column_set_safechars(made, "\n");
      for (auto& each : rows) {
        each[index].text = wrapped(each[index].text, room);
      }
    }
  }
  for (const auto& each : rows) {
    add_row(table.get(), each);
  }
  char* text = nullptr;
  if (::scols_print_table_to_string(table.get(), &text) != 0 || text == nullptr) {
    throw std::bad_alloc();
  }
  const std::unique_ptr<char, decltype(&std::free)> owner(text, &std::free);
  return trimmed(text);
}

} // namespace client_program
