// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/overview.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

namespace client_program {

pci::result<json> parse_overview(const std::string& result) {
  auto parsed = json::parse(result, nullptr, false);
  const auto functions = parsed.is_object() ? parsed.find("functions") : parsed.end();
  if (!parsed.is_object() || functions == parsed.end() || !functions->is_array()) {
    return pci::fail(EPROTO, "the daemon's list has a form that this program does not know; use --json");
  }
  return parsed;
}

const json& domain_of(const json& overview, const std::string& number) {
  static const json none;
  const auto& domains = list_in(overview, "domains");
  const auto found = std::ranges::find_if(
      domains, [&](const json& domain) { return !number.empty() && text_in(domain, "domain") == number; });
  return found == domains.end() ? none : *found;
}

std::string guest_words(const json& overview, const std::string& number) {
  const auto name = text_in(domain_of(overview, number), "name");
  return name.empty() ? number : fmt::format("{} ({})", name, number);
}

// An HVM guest's, or a stub domain's, is told with its target.
std::string guest_of(const json& overview, const json& function) {
  const auto words = text_in(function, "guest");
  return words.empty() ? guest_words(overview, text_in(function, "domain")) : words;
}

} // namespace client_program
