// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/doctor.hpp"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "tools/pcibackctl/json_text.hpp"

namespace client_program {
namespace {

std::string_view word_of(finding what) {
  constexpr std::array<std::string_view, 4> words{"good", "note", "warning", "problem"};
  return words.at(static_cast<std::size_t>(what));
}

std::size_t count_of(const checks& all, finding what) {
  return static_cast<std::size_t>(std::ranges::count(all, what, &check::found));
}

std::string plural(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// Nothing is wrong with what nobody has asked for yet.
finding finding_of(const std::string& verdict) {
  static const std::set<std::string> good{"works", "free"};
  static const std::set<std::string> waits{"waits",     "no-guest", "not-given",    "paused",   "ended",
                                           "untouched", "dom0s",    "not-assigned", "reserved", "inherited"};
  return verdict == "refused-writes" ? finding::warning
         : good.contains(verdict)    ? finding::good
         : waits.contains(verdict)   ? finding::note
                                     : finding::problem;
}

void look_at_traps(const json& function, const std::string& name, checks& into) {
  const auto& host = object_in(function, "host");
  if (!flag_in(host, "there")) {
    return;
  }
  if (list_in(host, "resets").empty()) {
    into.push_back({name, finding::warning, "it cannot be reset: what a guest leaves inside it, the next one finds"});
  }
  const auto tell = [&](const char* list, std::string_view what) {
    if (const auto& all = list_in(host, list); !all.empty()) {
      into.push_back({name, finding::warning, fmt::format("{} {}", what, plural(all.size(), "function"))});
    }
  };
  tell("page_mates", "it shares a page of registers, and so its guest, with");
  for (const auto& region : list_in(host, "reserved")) {
    if (const auto users = list_in(region, "functions").size(); users > 1) {
      into.push_back({name, finding::warning,
                      fmt::format("it shares reserved memory (RMRR) with {}; rdm = \"relaxed\" lets a guest have it",
                                  plural(users - 1, "function"))});
    }
  }
  for (const auto& note : list_in(object_in(function, "status"), "notes")) {
    into.push_back({name, finding::note, note.is_string() ? printable(note.get<std::string>()) : note.dump()});
  }
}

/// The addresses that `list` names, held or not.
std::set<std::string> addresses_in(const json& overview) {
  std::set<std::string> all;
  for (const auto* list : {"functions", "unmet"}) {
    for (const auto& each : list_in(overview, list)) {
      all.insert(text_in(each, "address"));
    }
  }
  return all;
}

} // namespace

checks checks_of(const std::string& explanation) {
  checks found;
  const auto parsed = json::parse(explanation, nullptr, false);
  for (const auto& function : list_in(parsed, "functions")) {
    const auto name = text_in(function, "address");
    const auto& verdict = object_in(function, "verdict");
    const auto command = text_in(verdict, "command");
    found.push_back({name, finding_of(text_in(verdict, "kind")),
                     text_in(verdict, "text") + (command.empty() ? "" : ": " + command)});
    look_at_traps(function, name, found);
  }
  return found;
}

checks look_at_daemon(const std::string& socket, const std::string& version, const patience& how) {
  const auto answer = ask(socket, call{"version", {}, {}, {}, {}}, how);
  if (!answer) {
    const auto& why = answer.error();
    return {{"daemon", why.kind == pci::failure_kind::no_daemon ? finding::note : finding::problem, why.text}};
  }
  const auto its = text_in(json::parse(*answer, nullptr, false), "version");
  checks found{its == version
                   ? check{"daemon", finding::good, "pcibackd " + its + " answers"}
                   : check{"daemon", finding::warning,
                           fmt::format("it is pcibackd {}, and this is pcibackctl {}: restart it", its, version)}};
  const auto list = ask(socket, call{"list", {}, {}, {}, {}}, how);
  if (!list) {
    found.push_back({"daemon", finding::problem, list.error().text});
    return found;
  }
  for (const auto& address : addresses_in(json::parse(*list, nullptr, false))) {
    const auto parsed = pci::parse_sbdf(address);
    const auto told = parsed ? ask(socket, call{"explain", {}, *parsed, {}, {}}, how)
                             : tl::expected<std::string, complaint>{std::string{}};
    const auto one = told ? checks_of(*told) : checks{{address, finding::problem, told.error().text}};
    found.insert(found.end(), one.begin(), one.end());
  }
  return found;
}

bool has_problem(const checks& all) { return count_of(all, finding::problem) != 0; }

std::string doctor_text(const checks& all, const view& how) {
  std::vector<row> rows;
  for (const auto& each : all) {
    const auto colour = each.found == finding::problem   ? tint::bad
                        : each.found == finding::warning ? tint::odd
                                                         : tint::plain;
    rows.push_back({{std::string{word_of(each.found)}, colour}, each.what, printable(each.text)});
  }
  const auto problems = count_of(all, finding::problem), warnings = count_of(all, finding::warning);
  return render({{"Finding"}, {"What"}, {"Detail", 0, true}}, std::move(rows), how) +
         fmt::format("\n{}, {}\n", problems == 0 ? "no problems" : plural(problems, "problem"),
                     warnings == 0 ? "no warnings" : plural(warnings, "warning"));
}

std::string doctor_json(const checks& all) {
  auto list = json::array();
  for (const auto& each : all) {
    list.push_back({{"what", each.what}, {"found", std::string{word_of(each.found)}}, {"text", each.text}});
  }
  return json{{"checks", std::move(list)},
              {"problems", count_of(all, finding::problem)},
              {"warnings", count_of(all, finding::warning)}}
             .dump(-1, ' ', false, json::error_handler_t::replace) +
         "\n";
}

} // namespace client_program
