// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/report.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>

#include <fmt/format.h>

namespace bench {

void results::add(std::string what, double value, std::string unit) {
  rows.push_back({std::move(what), value, std::move(unit)});
}

void results::add_limited(std::string what, double measured, double limit, std::string unit) {
  add(what, measured, unit);
  figures.push_back({std::move(what), measured, limit, std::move(unit)});
}

void results::append(const results& more) {
  rows.insert(rows.end(), more.rows.begin(), more.rows.end());
  figures.insert(figures.end(), more.figures.begin(), more.figures.end());
}

void print_rows(const std::string& title, const results& what) {
  fmt::print("\n{}\n", title);
  for (const auto& each : what.rows) {
    fmt::print("  {:<62} {:>12.2f} {}\n", each.what, each.value, each.unit);
  }
  std::fflush(stdout);
}

bool print_figures(const results& what) {
  fmt::print("\n{:<64} {:>10} {:>8} {:<12} {}\n", "figure", "measured", "limit", "", "holds");
  for (const auto& each : what.figures) {
    fmt::print("{:<64} {:>10.2f} {:>8.6g} {:<12} {}\n", each.what, each.measured, each.limit, each.unit,
               each.holds() ? "yes" : "NO");
  }
  return std::all_of(what.figures.begin(), what.figures.end(), [](const figure& each) { return each.holds(); });
}

bool write_json(const std::string& file, const results& what) {
  nlohmann::json all = what;
  for (std::size_t i = 0; i < what.figures.size(); ++i) {
    all["figures"][i]["holds"] = what.figures[i].holds();
  }
  std::ofstream out(file);
  out << all.dump(1) << '\n';
  return out.good();
}

} // namespace bench
