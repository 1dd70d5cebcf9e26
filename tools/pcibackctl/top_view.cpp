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

/// The end of the class that so much of what was measured lies below, in seconds; empty: nothing was.
std::optional<double> quantile(const durations& before, const durations& now, double part) {
  const auto count = [&](double limit, double is) {
    const auto was = before.find(limit);
    return was == before.end() || was->second > is ? is : is - was->second;
  };
  const auto all = now.empty() ? 0 : count(now.rbegin()->first, now.rbegin()->second);
  for (const auto& [limit, is] : now) {
    if (all > 0 && count(limit, is) >= part * all) {
      return limit;
    }
  }
  return std::nullopt;
}

std::string quantile_words(std::optional<double> seconds) {
  return !seconds ? "-" : *seconds > 1e9 ? "over 1 s" : time_words(*seconds);
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

/// All of a frame, sorted.
struct top_numbers {
  std::vector<top_row> guests, functions;
  double operations = 0;
  std::optional<double> half, most; ///< of the time that operations took
};

pci::result<top_numbers> numbers_of(const top_sample& before, const top_sample& now, double seconds,
                                    std::string_view order) {
  const auto was = parse_overview(before.list), is = parse_overview(now.list);
  if (!was || !is) {
    return tl::unexpected((!was ? was : is).error());
  }
  top_numbers all;
  for (const auto& domain : list_in(*is, "domains")) {
    all.guests.push_back(row_of_guest(*was, *is, domain, seconds));
    all.operations += all.guests.back().operations;
  }
  for (const auto& function : list_in(*is, "functions")) {
    all.functions.push_back(row_of_function(*was, *is, function, seconds));
  }
  sort_rows(all.guests, order);
  sort_rows(all.functions, order);
  const auto took = durations_in(metrics_of_result(before.metrics).value_or(std::string{}));
  const auto take = durations_in(metrics_of_result(now.metrics).value_or(std::string{}));
  all.half = quantile(took, take, 0.5);
  all.most = quantile(took, take, 0.99);
  return all;
}

json json_of_row(const top_row& from) {
  return {{"guest", from.guest},    {"address", from.device.empty() ? json() : json(from.device)},
          {"state", from.state},    {"operations", from.operations},
          {"errors", from.errors},  {"interrupts", from.interrupts},
          {"vectors", from.vectors}};
}

json json_of_rows(const std::vector<top_row>& from) {
  auto all = json::array();
  for (const auto& each : from) {
    all.push_back(json_of_row(each));
  }
  return all;
}

/// Null too for a time beyond all classes.
json json_of_time(std::optional<double> seconds) { return seconds && *seconds < 1e9 ? json(*seconds) : json(); }

} // namespace

pci::result<std::string> top_frame(const top_sample& before, const top_sample& now, double seconds,
                                   std::string_view order, const view& how) {
  const auto all = numbers_of(before, now, seconds, order);
  if (!all) {
    return tl::unexpected(all.error());
  }
  auto rows = all->guests;
  rows.insert(rows.end(), all->functions.begin(), all->functions.end());
  sort_rows(rows, order);
  std::vector<row> shown;
  std::ranges::transform(rows, std::back_inserter(shown), shown_row);
  return fmt::format("{} guests, {} functions; {:.1f} operations a second, half within {}, 99 % within {}\n\n",
                     all->guests.size(), all->functions.size(), all->operations, quantile_words(all->half),
                     quantile_words(all->most)) +
         render({{"Guest"},
                 {"Device"},
                 {"State", 3},
                 {"Operations/s"},
                 {"Errors/s", 1},
                 {"Interrupts/s", 2},
                 {"Vectors", 4}},
                std::move(shown), how);
}

pci::result<std::string> top_json(const top_sample& before, const top_sample& now, double seconds,
                                  std::string_view order) {
  return numbers_of(before, now, seconds, order).map([seconds](const top_numbers& all) {
    const json frame{{"seconds", seconds},
                     {"operations", all.operations},
                     {"half_within_s", json_of_time(all.half)},
                     {"most_within_s", json_of_time(all.most)},
                     {"guests", json_of_rows(all.guests)},
                     {"functions", json_of_rows(all.functions)}};
    return frame.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  });
}

} // namespace client_program
