// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/table.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "pci/address.hpp"

namespace client_program {
namespace {

using json = nlohmann::ordered_json;

using row = std::vector<std::string>;
const row header{"Vdev", "Device", "Domain", "State", "Mode", "Vectors", "Guard", "Writes", "Operations", "Detail"};
const row line_header{"Line", "Device",  "Domain",   "Decision", "Holder",
                      "Ack",  "Handled", "Spurious", "Storms",   "Danger"};

std::string text_of(const json& from, const char* name) {
  const auto found = from.find(name);
  if (found == from.end() || found->is_null() || found->is_structured()) {
    return "-";
  }
  const auto text = found->is_string() ? *found->get_ptr<const std::string*>() : found->dump();
  return text.empty() ? "-" : text;
}

// xl shows the slot and the function alone: a PV guest's virtual bus is 0000:00 but with the passthrough topology.
std::string vdev_of(const json& function) {
  const auto text = text_of(function, "virtual_address");
  constexpr std::string_view virtual_bus = "0000:00:";
  return text.rfind(virtual_bus, 0) == 0 ? text.substr(virtual_bus.size()) : text;
}

std::string vectors_of(const json& function) {
  const auto found = function.find("vectors");
  return found == function.end() || !found->is_array() || found->empty() ? "-" : std::to_string(found->size());
}

row row_of(const json& function) {
  const auto guard = text_of(function, "guard");
  return {vdev_of(function),
          text_of(function, "address"),
          text_of(function, "domain"),
          text_of(function, "state"),
          text_of(function, "mode"),
          vectors_of(function),
          guard == "none" ? "-" : guard,
          text_of(function, "writes"),
          text_of(function, "operations"),
          text_of(function, "detail")};
}

// With the other guests on its line.
std::string guests_of(const json& function) {
  auto text = text_of(function, "domain");
  const auto found = function.find("line_guests");
  if (found != function.end() && found->is_array()) {
    for (const auto& one : *found) {
      text += (&one == &found->front() ? " with " : ", ") + one.dump();
    }
  }
  return text;
}

row line_row_of(const json& function) {
  const auto found = function.find("line");
  const auto line = found == function.end() ? json::object() : *found;
  const auto on = [&line](const char* name) { return text_of(line, name) == "true"; };
  return {text_of(function, "gsi"),
          text_of(function, "address"),
          guests_of(function),
          text_of(line, "decision"),
          text_of(line, "holder"),
          on("acknowledging") ? "on" : "off",
          text_of(line, "acknowledged"),
          text_of(line, "spurious"),
          text_of(line, "storms") + (on("storm") ? ", now" : ""),
          text_of(line, "danger")};
}

std::string render(const std::vector<row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], row[column].size());
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t column = 0; column < row.size(); ++column) {
      line += fmt::format("{:<{}}  ", row[column], widths[column]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

/// An array of a list's; empty when it is not there: an older daemon has none.
json list_in(const json& parsed, const char* name) {
  const auto found = parsed.is_object() ? parsed.find(name) : parsed.end();
  return parsed.is_object() && found != parsed.end() && found->is_array() ? *found : json::array();
}

pci::result<json> parse_overview(const std::string& result) {
  auto parsed = json::parse(result, nullptr, false);
  const auto functions = parsed.is_object() ? parsed.find("functions") : parsed.end();
  if (!parsed.is_object() || functions == parsed.end() || !functions->is_array()) {
    return pci::fail(EPROTO, "the daemon's list has another form than this program knows; use --json");
  }
  return parsed;
}

std::string render_or_none(const std::vector<row>& rows) {
  return rows.size() == 1 ? std::string{"no functions are held\n"} : render(rows);
}

/// What has no room in a row.
std::string remarks_of(const json& overview) {
  std::string text;
  for (const auto& function : list_in(overview, "functions")) {
    for (const auto& note : list_in(function, "notes")) {
      text += fmt::format("{}: {}\n", text_of(function, "address"), note.is_string() ? note.get<std::string>() : "");
    }
  }
  for (const auto& domain : list_in(overview, "domains")) {
    if (const auto error = text_of(domain, "frontend_error"); error != "-") {
      text += fmt::format("domain {}: its frontend says: {}\n", text_of(domain, "domain"), error);
    }
  }
  return text.empty() ? text : "\n" + text;
}

} // namespace

pci::result<std::string> table_of(const std::string& result) {
  return parse_overview(result).map([](const json& overview) {
    std::vector<row> rows{header};
    for (const auto& function : overview["functions"]) {
      rows.push_back(row_of(function));
    }
    for (const auto& name : list_in(overview, "beyond_xen")) {
      rows.push_back({"-", name.is_string() ? name.get<std::string>() : "-", "-", "refused", "-", "-", "-", "-", "-",
                      "beyond Xen, which knows segments up to ffff (Intel VMD)"});
    }
    return render_or_none(rows) + remarks_of(overview);
  });
}

pci::result<std::string> lines_of(const std::string& result) {
  return parse_overview(result).map([](const json& overview) {
    std::vector<row> rows{line_header};
    for (const auto& function : overview["functions"]) {
      rows.push_back(line_row_of(function));
    }
    return render_or_none(rows);
  });
}

namespace {

std::string list_of(const json& from, const char* name) {
  std::string text;
  const auto found = from.find(name);
  if (found == from.end() || !found->is_array()) {
    return text;
  }
  for (const auto& one : *found) {
    if (one.is_string()) {
      text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", *one.get_ptr<const std::string*>());
    }
  }
  return text;
}

std::vector<row> refused_rows(const json& last) {
  std::vector<row> rows{{"Register:Size:Mask", "Name", "Value", "Times", "Answer"}};
  for (const auto& one : last) {
    const auto denied = one.find("denied");
    const bool told = denied != one.end() && denied->is_boolean() && denied->get<bool>();
    rows.push_back({text_of(one, "quirk"), text_of(one, "register"), text_of(one, "value"), text_of(one, "count"),
                    told ? "denied" : "dropped"});
  }
  return rows;
}

} // namespace

pci::result<std::string> writes_of(const std::string& result) {
  const auto parsed = json::parse(result, nullptr, false);
  const auto last = parsed.is_object() ? parsed.find("last") : parsed.end();
  if (!parsed.is_object() || last == parsed.end() || !last->is_array()) {
    return pci::fail(EPROTO, "the daemon's account has another form than this program knows; use --json");
  }
  auto text = fmt::format("{}: writes: {}; {} refused\n", text_of(parsed, "address"), text_of(parsed, "writes"),
                          text_of(parsed, "refused"));
  if (!last->empty()) {
    text += "\n" + render(refused_rows(*last));
  }
  if (const auto quirks = list_of(parsed, "suggested"); !quirks.empty() && quirks != list_of(parsed, "quirks")) {
    text += fmt::format("\nTo let the guest write these, put into the settings:\n\n[[device]]\nmatch = \"{}\"\n"
                        "quirks = [{}]\n",
                        text_of(parsed, "address"), quirks);
  }
  return text;
}

} // namespace client_program
