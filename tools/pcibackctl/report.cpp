// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/report.hpp"

#include <algorithm>
#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "config/reader.hpp"
#include "config/settings.hpp"
#include "tools/pcibackctl/actors_view.hpp"
#include "tools/pcibackctl/anonymity.hpp"
#include "tools/pcibackctl/events_view.hpp"
#include "tools/pcibackctl/table.hpp"

namespace client_program {
namespace {

/// An answer, or {"error": "..."}.
json answer_or_error(const tl::expected<std::string, complaint>& answer) {
  auto parsed = answer ? json::parse(*answer, nullptr, false) : json{{"error", answer.error().text}};
  return parsed.is_discarded() ? json{{"error", "the answer is not JSON"}} : parsed;
}

json settings_of(const json& version) {
  const auto file = text_in(version, "settings");
  if (file.empty()) {
    return {{"file", nullptr}, {"text", nullptr}};
  }
  const auto text = config::read_file(file);
  return {{"file", file}, {"text", text ? json(*text) : json("cannot be read: " + pci::to_string(text.error()))}};
}

json explanations_of(const std::string& socket, const json& list, const patience& how) {
  auto all = json::array();
  for (const auto* part : {"functions", "unmet"}) {
    for (const auto& each : list_in(list, part)) {
      const auto address = pci::parse_sbdf(text_in(each, "address"));
      const bool told = std::ranges::any_of(all, [&](const json& one) {
        return !one.is_object() || text_in(one, "address") == text_in(each, "address");
      });
      if (address && !told) {
        all.push_back({{"address", pci::to_string(*address)},
                       {"explain", answer_or_error(ask(socket, call{"explain", {}, *address, {}, {}}, how))}});
      }
    }
  }
  return all;
}

std::string section(std::string_view title, const std::string& text) {
  return fmt::format("\n== {} ==\n\n{}{}", title, text, text.ends_with('\n') ? "" : "\n");
}

/// A part as people read it; what is no such part as it is.
template <class View>
std::string shown_part(const json& part, View how) {
  const pci::result<std::string> text = how(part.dump(-1, ' ', false, json::error_handler_t::replace));
  return text ? *text : part.dump(2, ' ', false, json::error_handler_t::replace);
}

std::string lines_of_list(const json& lines) {
  std::string text;
  for (const auto& each : lines) {
    auto line = each.is_string() ? printable(each.get<std::string>()) : each.dump();
    line.erase(line.find_last_not_of("? ") + 1); // its end of line is not printable
    text += line + "\n";
  }
  return text;
}

std::string events_text(const json& events) {
  std::string text;
  for (const auto& each : events) {
    text += event_line(json{{"params", each}}.dump(-1, ' ', false, json::error_handler_t::replace)).value_or("?\n");
  }
  return text;
}

} // namespace

tl::expected<json, complaint> collect_report(const std::string& socket, const std::string& version,
                                             const patience& how) {
  const auto plain = [&](const char* method) { return ask(socket, call{method, {}, {}, {}, {}}, how); };
  const auto daemon = plain("version");
  if (!daemon) {
    return tl::unexpected(daemon.error());
  }
  const auto its = answer_or_error(daemon);
  const auto list = answer_or_error(plain("list"));
  return json{{"made", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)))},
              {"pcibackctl", version},
              {"pcibackd", text_in(its, "version")},
              {"settings", settings_of(its)},
              {"list", list},
              {"explain", explanations_of(socket, list, how)},
              {"actors", answer_or_error(plain("actors"))},
              {"metrics", answer_or_error(plain("metrics"))},
              {"recent", answer_or_error(plain("recent"))}};
}

json anonymous_report(const json& report) {
  anonymiser hide;
  for (const auto* part : {"list", "explain", "recent"}) {
    if (report.contains(part)) {
      hide.learn(report[part]);
    }
  }
  // Guests that the settings alone know.
  if (const auto settings = config::parse(report.contains("settings") && report["settings"].contains("text") &&
                                                  report["settings"]["text"].is_string()
                                              ? report["settings"]["text"].get<std::string>()
                                              : std::string{},
                                          "")) {
    for (const auto& each : settings->assignments) {
      hide.add_guest(each.domain);
    }
    for (const auto& each : settings->guests) {
      hide.add_guest(each.match);
    }
  }
  return hide.value(report);
}

std::string report_text(const json& report) {
  const auto part = [&](const char* name) { return report.contains(name) ? report[name] : json(); };
  auto text = fmt::format("A report of pcibackd, made {}\npcibackd {}, pcibackctl {}\n", text_in(report, "made"),
                          text_in(report, "pcibackd"), text_in(report, "pcibackctl"));
  const auto settings = part("settings");
  const auto file = text_in(settings, "file");
  text +=
      section("settings",
              file.empty() ? std::string{"none were given"}
                           : file + ":\n" + (settings["text"].is_string() ? settings["text"].get<std::string>() : ""));
  text += section("list", shown_part(part("list"), [](const std::string& from) { return table_of(from); }));
  for (const auto& each : part("explain")) {
    text += section("explain " + text_in(each, "address"),
                    shown_part(each.contains("explain") ? each["explain"] : json(),
                               [](const std::string& from) { return explanation_of(from); }));
  }
  text +=
      section("actors", shown_part(part("actors"), [](const std::string& from) { return actors_tree(from, false); }));
  text += section("events", events_text(list_in(part("recent"), "events")));
  text += section("log", lines_of_list(list_in(part("recent"), "log")));
  return text + section("metrics", shown_part(part("metrics"), metrics_of_result));
}

std::string report_json(const json& report) {
  return report.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

} // namespace client_program
