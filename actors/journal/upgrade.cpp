// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/journal/upgrade.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "actors/device/reset_memory.hpp"
#include "actors/domain_ids.hpp"
#include "actors/journal/record.hpp"

namespace actors {
namespace {

using record_json = nlohmann::json;

constexpr std::size_t most_named = 8;
constexpr std::size_t longest_key = 64;

/// A key as it may be shown.
std::string shown_key(const std::string& key) {
  auto text = key.substr(0, longest_key);
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < ' ' || c >= 0x7f; }, '?');
  return text;
}

/// The keys of `before` that `after` does not have, or has otherwise; those of objects within it with a dot.
void compare_keys(const record_json& before, const record_json& after, const std::string& prefix,
                  std::vector<std::string>& into) {
  for (const auto& [key, value] : before.items()) {
    const auto found = after.find(key);
    if (found != after.end() && value.is_object() && found->is_object()) {
      compare_keys(value, *found, prefix + shown_key(key) + ".", into);
    } else if (found == after.end() || *found != value) {
      into.push_back(prefix + shown_key(key));
    }
  }
}

/// Read without its rules: by a version whose rules nobody knows here.
std::optional<messages::domain_id> domain_in(const record_json& record) {
  const auto domain = record.is_object() ? record.find("domain") : record.end();
  const bool is_one = record.is_object() && domain != record.end() && domain->is_number_unsigned() &&
                      domain->get<std::uint64_t>() <= largest_domain;
  return is_one ? std::optional{domain->get<messages::domain_id>()} : std::nullopt;
}

} // namespace

record_fate fate_of_record(const std::string& name, const std::string& text) {
  if (name == reset_memory::record_name) { // lines of words, which any version looks up as they are
    return {};
  }
  const auto before = record_json::parse(text, nullptr, false);
  const auto domain = domain_in(before);
  const auto record = parse_record(text);
  if (!record) {
    return {record_fate::kind::lost, record.error().context, domain};
  }
  if (pci::to_string(record->function.address) != name) {
    return {record_fate::kind::lost, "it is another function's", domain};
  }
  std::vector<std::string> missing;
  compare_keys(before, record_json::parse(to_text(*record), nullptr, false), {}, missing);
  if (missing.empty()) {
    return {record_fate::kind::kept, {}, domain};
  }
  const auto more = missing.size() > most_named ? missing.size() - most_named : 0;
  missing.resize(std::min(missing.size(), most_named));
  return {record_fate::kind::parts,
          fmt::format("\"{}\"{}", fmt::join(missing, "\", \""), more == 0 ? "" : fmt::format(" and {} more", more)),
          domain};
}

} // namespace actors
