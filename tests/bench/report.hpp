// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace bench {

/// Something that was measured.
struct row {
  std::string what;
  double value = 0;
  std::string unit;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(row, what, value, unit)

/// Something that was measured and has a limit, which it may reach but not exceed.
struct figure {
  std::string what;
  double measured = 0;
  double limit = 0;
  std::string unit;
  [[nodiscard]] bool holds() const { return measured <= limit; }
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(figure, what, measured, limit, unit)

/// What one measurement, or all of them, came to.
struct results {
  std::vector<row> rows;
  std::vector<figure> figures;

  void add(std::string what, double value, std::string unit);
  void add_limited(std::string what, double measured, double limit, std::string unit);
  void append(const results& more);
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(results, rows, figures)

/// Prints the rows of one measurement under its title.
void print_rows(const std::string& title, const results& what);
/// Prints the figures with their limits; true when all hold.
bool print_figures(const results& what);
/// Writes everything as JSON, whether the figures hold included. False: the file cannot be written.
[[nodiscard]] bool write_json(const std::string& file, const results& what);

} // namespace bench
