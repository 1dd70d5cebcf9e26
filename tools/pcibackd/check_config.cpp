// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/check_config.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "config/settings.hpp"
#include "config/simulation.hpp"
#include "tools/pcibackd/simulation.hpp"

namespace daemon_program {
namespace {

std::string counted(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

void append(std::vector<std::string>& all, const std::vector<std::string>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

/// The text, or a mistake.
std::optional<std::string> text_of(const std::filesystem::path& file, check_report& report) {
  auto text = config::read_file(file);
  if (!text) {
    const auto& why = text.error();
    report.mistakes.push_back(why.error == EINVAL || why.error == EFBIG ? why.context : pci::to_string(why));
    return std::nullopt;
  }
  return std::move(*text);
}

/// The line at the end of what is said of a file.
std::string summary_of(const std::filesystem::path& file, std::size_t mistakes, std::size_t warnings,
                       const std::string& content) {
  auto line = fmt::format("{}: {}", file.string(), mistakes == 0 ? "no mistakes" : counted(mistakes, "mistake"));
  if (warnings != 0) {
    line += ", " + counted(warnings, "warning");
  }
  return mistakes == 0 ? line + "; " + content : line;
}

std::optional<config::simulation> check_simulation(const std::filesystem::path& file, check_report& report) {
  const auto text = text_of(file, report);
  if (!text) {
    return std::nullopt;
  }
  const auto before = report.mistakes.size();
  auto all = config::read_simulation(*text, file.string());
  if (all) {
    append(report.mistakes, config::to_lines(simulation::mistakes(*all), file.string()));
  } else {
    append(report.mistakes, config::to_lines(all.error(), file.string()));
  }
  report.summary.push_back(
      summary_of(file, report.mistakes.size() - before, 0,
                 all ? fmt::format("{}, {}, {}", counted(all->functions.size(), "function"),
                                   counted(all->guests.size(), "guest"), counted(all->events.size(), "event"))
                     : std::string{}));
  return all ? std::optional{std::move(*all)} : std::nullopt;
}

void check_scenario(const std::filesystem::path& file, const std::optional<config::simulation>& of,
                    check_report& report) {
  const auto text = text_of(file, report);
  if (!text) {
    return;
  }
  const auto events = config::parse_scenario(*text);
  auto wrong = events ? config::complaints{} : events.error();
  if (events && of) {
    wrong = config::check_events(*events, *of);
  }
  append(report.mistakes, config::to_lines(wrong, file.string()));
  report.summary.push_back(
      summary_of(file, wrong.size(), 0, events ? counted(events->size(), "event") : std::string{}));
}

void check_settings(const std::filesystem::path& file, const std::optional<std::vector<std::string>>& guests,
                    check_report& report) {
  const auto text = text_of(file, report);
  if (!text) {
    return;
  }
  const auto found = config::examine(*text, file.string());
  append(report.mistakes, found.mistakes);
  auto warnings = found.warnings;
  if (found.good && guests) {
    append(warnings, config::to_lines(config::unknown_guests(*found.good, *guests), file.string()));
  }
  append(report.warnings, warnings);
  report.summary.push_back(summary_of(
      file, found.mistakes.size(), warnings.size(),
      found.good ? fmt::format("{}, {}", counted(found.good->devices.size() + found.good->hide.size(), "device rule"),
                               counted(found.good->assignments.size(), "assignment"))
                 : std::string{}));
}

std::vector<std::string> names_of(const config::simulation& all) {
  std::vector<std::string> names;
  std::transform(all.guests.begin(), all.guests.end(), std::back_inserter(names),
                 [](const config::simulated_guest& one) { return one.name; });
  return names;
}

} // namespace

check_report check_config(const files_to_check& files, const guest_lister& running) {
  check_report report;
  std::optional<config::simulation> simulated;
  std::optional<std::vector<std::string>> guests;
  if (files.simulation) {
    simulated = check_simulation(*files.simulation, report);
    guests = simulated ? std::optional{names_of(*simulated)} : std::nullopt;
  } else if (running) {
    guests = running();
  }
  if (files.scenario) {
    check_scenario(*files.scenario, simulated, report);
  }
  if (files.settings) {
    check_settings(*files.settings, guests, report);
  }
  return report;
}

} // namespace daemon_program
