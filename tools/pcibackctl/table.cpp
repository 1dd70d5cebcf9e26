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
const row header{"Vdev", "Device", "Domain", "State", "Mode", "Vectors", "Writes", "Operations", "Detail"};

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
  return {vdev_of(function),           text_of(function, "address"),    text_of(function, "domain"),
          text_of(function, "state"),  text_of(function, "mode"),       vectors_of(function),
          text_of(function, "writes"), text_of(function, "operations"), text_of(function, "detail")};
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

} // namespace

pci::result<std::string> table_of(const std::string& result) {
  const auto parsed = json::parse(result, nullptr, false);
  const auto functions = parsed.is_object() ? parsed.find("functions") : parsed.end();
  if (!parsed.is_object() || functions == parsed.end() || !functions->is_array()) {
    return pci::fail(EPROTO, "the daemon's list has another form than this program knows; use --json");
  }
  std::vector<row> rows{header};
  for (const auto& function : *functions) {
    rows.push_back(row_of(function));
  }
  return rows.size() == 1 ? std::string{"no functions are held\n"} : render(rows);
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
