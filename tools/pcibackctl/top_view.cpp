// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/top_view.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "tools/pcibackctl/events_view.hpp"
#include "tools/pcibackctl/json_text.hpp"
#include "tools/pcibackctl/overview.hpp"

namespace client_program {
namespace {

/// Seconds by class of the histogram of operations: how many were at most so long.
using durations = std::map<double, double>;

durations durations_in(const std::string& metrics) {
  constexpr std::string_view name = "pcibackd_operation_duration_seconds_bucket{le=\"";
  durations found;
  for (std::size_t at = metrics.find(name); at != std::string::npos; at = metrics.find(name, at + 1)) {
    const auto* rest = metrics.c_str() + at + name.size(); // "+Inf" reads as infinite
    char* end = nullptr;
    const auto limit = std::strtod(rest, &end);
    if (end != rest && std::string_view{end}.starts_with("\"} ")) {
      found[limit] = std::strtod(end + 3, nullptr);
    }
  }
  return found;
}

std::string time_words(double seconds) {
  return seconds < 1e-3 ? fmt::format("{:.0f} us", seconds * 1e6)
         : seconds < 1  ? fmt::format("{:.0f} ms", seconds * 1e3)
                        : fmt::format("{:.0f} s", seconds);
}

/// The end of the class that so much of what was measured lies below; empty: nothing was.
std::string quantile(const durations& before, const durations& now, double part) {
  const auto count = [&](double limit, double is) {
    const auto was = before.find(limit);
    return was == before.end() || was->second > is ? is : is - was->second;
  };
  const auto all = now.empty() ? 0 : count(now.rbegin()->first, now.rbegin()->second);
  for (const auto& [limit, is] : now) {
    if (all > 0 && count(limit, is) >= part * all) {
      return limit > 1e9 ? "over 1 s" : time_words(limit);
    }
  }
  return "-";
}

double number_of_field(const json& from, const char* name) {
  const auto found = from.is_object() ? from.find(name) : from.end();
  return from.is_object() && found != from.end() && found->is_number() ? found->get<double>() : 0;
}

const json& same_as(const json& list, const char* part, const char* key, const json& what) {
  static const json none;
  const auto& all = list_in(list, part);
  const auto found =
      std::ranges::find_if(all, [&](const json& each) { return text_in(each, key) == text_in(what, key); });
  return found == all.end() ? none : *found;
}

double grown(double before, double now) { return now < before ? now : now - before; }

struct top_row {
  std::string guest, device, state;
  double operations = 0, errors = 0, interrupts = 0;
  std::size_t vectors = 0;
};

top_row row_of_function(const json& before, const json& list, const json& function, double seconds) {
  const auto& was = same_as(before, "functions", "address", function);
  const auto rate = [&](const json& from, const json& to, const char* name) {
    return grown(number_of_field(from, name), number_of_field(to, name)) / seconds;
  };
  return {guest_of(list, function),           text_in(function, "address"),
          text_in(function, "state"),         rate(was, function, "operations"),
          rate(was, function, "refused"),     rate(object_in(was, "line"), object_in(function, "line"), "acknowledged"),
          list_in(function, "vectors").size()};
}

// With what concerned none of its functions: a scan of its bus, for one.
top_row row_of_guest(const json& before, const json& list, const json& domain, double seconds) {
  const auto& was = same_as(before, "domains", "domain", domain);
  const auto rate = [&](const char* name) {
    return grown(number_of_field(was, name), number_of_field(domain, name)) / seconds;
  };
  top_row made{guest_words(list, text_in(domain, "domain")),
               "",
               text_in(domain, "state"),
               rate("operations"),
               rate("absent"),
               0,
               0};
  for (const auto& function : list_in(list, "functions")) {
    if (text_in(function, "domain") == text_in(domain, "domain")) {
      const auto one = row_of_function(before, list, function, seconds);
      made.errors += one.errors;
      made.interrupts += one.interrupts;
      made.vectors += one.vectors;
    }
  }
  return made;
}

void sort_rows(std::vector<top_row>& rows, std::string_view order) {
  const auto by_number = [&](double top_row::*what) { std::ranges::stable_sort(rows, std::ranges::greater{}, what); };
  if (order == "guest") {
    std::ranges::stable_sort(rows, {}, &top_row::guest);
  } else if (order == "device") {
    std::ranges::stable_sort(rows, {}, &top_row::device);
  } else {
    by_number(order == "errors"       ? &top_row::errors
              : order == "interrupts" ? &top_row::interrupts
                                      : &top_row::operations);
  }
}

row shown_row(const top_row& from) {
  const auto rate = [](double value) { return value == 0 ? std::string{"0"} : fmt::format("{:.1f}", value); };
  return {from.guest,
          from.device.empty() ? "all" : from.device,
          from.state,
          rate(from.operations),
          {rate(from.errors), from.errors > 0 ? tint::odd : tint::plain},
          rate(from.interrupts),
          fmt::format("{}", from.vectors)};
}

std::string summary_line(const std::vector<top_row>& guests, const top_sample& before, const top_sample& now,
                         std::size_t functions) {
  double operations = 0;
  for (const auto& each : guests) {
    operations += each.operations;
  }
  const auto was = durations_in(metrics_of_result(before.metrics).value_or(std::string{}));
  const auto is = durations_in(metrics_of_result(now.metrics).value_or(std::string{}));
  return fmt::format("{} guests, {} functions; {:.1f} operations a second, half within {}, 99 % within {}\n",
                     guests.size(), functions, operations, quantile(was, is, 0.5), quantile(was, is, 0.99));
}

} // namespace

pci::result<std::string> top_frame(const top_sample& before, const top_sample& now, double seconds,
                                   std::string_view order, const view& how) {
  const auto was = parse_overview(before.list), is = parse_overview(now.list);
  if (!was || !is) {
    return tl::unexpected((!was ? was : is).error());
  }
  std::vector<top_row> guests, functions;
  for (const auto& domain : list_in(*is, "domains")) {
    guests.push_back(row_of_guest(*was, *is, domain, seconds));
  }
  for (const auto& function : list_in(*is, "functions")) {
    functions.push_back(row_of_function(*was, *is, function, seconds));
  }
  auto text = summary_line(guests, before, now, functions.size()) + "\n";
  auto rows = guests;
  rows.insert(rows.end(), functions.begin(), functions.end());
  sort_rows(rows, order);
  std::vector<row> shown;
  std::ranges::transform(rows, std::back_inserter(shown), shown_row);
  return text + render({{"Guest"},
                        {"Device"},
                        {"State", 3},
                        {"Operations/s"},
                        {"Errors/s", 1},
                        {"Interrupts/s", 2},
                        {"Vectors", 4}},
                       std::move(shown), how);
}

} // namespace client_program
