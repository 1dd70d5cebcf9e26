// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/table.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "tools/pcibackctl/json_text.hpp"
#include "tools/pcibackctl/overview.hpp"

namespace client_program {
namespace {

const std::vector<column> line_columns{{"Line"}, {"Device"},     {"Guest"},       {"Decision", 2}, {"Holder", 3},
                                       {"Ack"},  {"Handled", 5}, {"Spurious", 4}, {"Storms", 1},   {"Danger"}};

// With the other guests on its line.
std::string guests_of(const json& overview, const json& function) {
  const auto own = guest_of(overview, function);
  auto text = own.empty() ? std::string{"-"} : own;
  const auto& others = list_in(function, "line_guests");
  for (const auto& one : others) {
    text += (&one == &others.front() ? " with " : ", ") + guest_words(overview, one.dump());
  }
  return text;
}

row line_row_of(const json& overview, const json& function) {
  const auto& line = object_in(function, "line");
  const auto danger = text_in(line, "danger");
  return {text_in(function, "gsi"),
          text_in(function, "address"),
          guests_of(overview, function),
          text_in(line, "decision"),
          text_in(line, "holder"),
          flag_in(line, "acknowledging") ? "on" : "off",
          text_in(line, "acknowledged"),
          text_in(line, "spurious"),
          text_in(line, "storms") + (flag_in(line, "storm") ? ", now" : ""),
          {danger, danger.empty() || danger == "none" ? tint::plain : tint::bad}};
}

std::string quoted_list_in(const json& from, const char* name) {
  std::string text;
  for (const auto& one : list_in(from, name)) {
    if (one.is_string()) {
      text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", printable(one.get<std::string>()));
    }
  }
  return text;
}

std::vector<row> refused_rows(const json& last) {
  std::vector<row> rows;
  for (const auto& one : last) {
    rows.push_back({text_in(one, "quirk"), text_in(one, "register"), text_in(one, "value"), text_in(one, "count"),
                    flag_in(one, "denied") ? "denied" : "dropped"});
  }
  return rows;
}

} // namespace

pci::result<std::string> lines_of(const std::string& result, const view& how) {
  return parse_overview(result).map([&](const json& overview) {
    std::vector<row> rows;
    for (const auto& function : overview["functions"]) {
      rows.push_back(line_row_of(overview, function));
    }
    return rows.empty() ? std::string{"no functions are held\n"} : render(line_columns, std::move(rows), how);
  });
}

pci::result<std::string> writes_of(const std::string& result, const view& how) {
  const auto parsed = json::parse(result, nullptr, false);
  const auto last = parsed.is_object() ? parsed.find("last") : parsed.end();
  if (!parsed.is_object() || last == parsed.end() || !last->is_array()) {
    return pci::fail(EPROTO, "the daemon's account has a form that this program does not know; use --json");
  }
  auto text = fmt::format("{}: writes: {}; {} refused\n", text_in(parsed, "address"), text_in(parsed, "writes"),
                          text_in(parsed, "refused"));
  if (!last->empty()) {
    text += "\n" +
            render({{"Register:Size:Mask"}, {"Name", 1}, {"Value"}, {"Times"}, {"Answer"}}, refused_rows(*last), how);
  }
  if (const auto quirks = quoted_list_in(parsed, "suggested");
      !quirks.empty() && quirks != quoted_list_in(parsed, "quirks")) {
    text += fmt::format("\nTo let the guest write these, put into the settings:\n\n[[device]]\nmatch = \"{}\"\n"
                        "quirks = [{}]\n",
                        text_in(parsed, "address"), quirks);
  }
  return text;
}

} // namespace client_program
