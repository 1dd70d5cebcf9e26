// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/anonymity.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace client_program {
namespace {

bool is_hexadecimal(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool is_of_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' ||
         (static_cast<unsigned char>(c) & 0x80U) != 0;
}

/// Groups of hexadecimal digits of these lengths, with "-" between them, begin the text, and end there.
std::size_t grouped(std::string_view text, const std::vector<std::size_t>& lengths) {
  std::size_t at = 0;
  for (const auto length : lengths) {
    if (at != 0 && (at >= text.size() || text[at++] != '-')) {
      return 0;
    }
    for (std::size_t digit = 0; digit < length; ++digit, ++at) {
      if (at >= text.size() || !is_hexadecimal(text[at])) {
        return 0;
      }
    }
  }
  return at < text.size() && is_of_word(text[at]) ? 0 : at;
}

} // namespace

void anonymiser::add_guest(const std::string& name) {
  const bool number = std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
  if (!number && name != "Domain-0") {
    guests_.try_emplace(name, fmt::format("guest-{}", guests_.size() + 1));
  }
}

void anonymiser::learn(const json& from) {
  if (from.is_array()) {
    for (const auto& each : from) {
      learn(each);
    }
  }
  if (!from.is_object()) {
    return;
  }
  for (const auto& [key, what] : from.items()) {
    if (what.is_structured()) {
      learn(what);
    } else if (what.is_string() && (key == "name" || key == "guest" || key == "asked")) {
      const auto text = what.get<std::string>();
      add_guest(text.substr(0, text.find(" (")));
    }
  }
}

// The longest name that stands there as a whole word.
std::string anonymiser::without_names(std::string_view text) const {
  std::string made;
  for (std::size_t at = 0; at < text.size();) {
    const std::pair<const std::string, std::string>* best = nullptr;
    if (at == 0 || !is_of_word(text[at - 1])) {
      for (const auto& each : guests_) {
        const auto end = at + each.first.size();
        if (text.substr(at).starts_with(each.first) && (end >= text.size() || !is_of_word(text[end])) &&
            (best == nullptr || best->first.size() < each.first.size())) {
          best = &each;
        }
      }
    }
    made += best != nullptr ? best->second : std::string(1, text[at]);
    at += best != nullptr ? best->first.size() : 1;
  }
  return made;
}

std::string anonymiser::without_numbers(std::string_view text) {
  static const std::vector<std::size_t> uuid{8, 4, 4, 4, 12}, serial{2, 2, 2, 2, 2, 2, 2, 2};
  std::string made;
  for (std::size_t at = 0; at < text.size();) {
    const bool begins = is_hexadecimal(text[at]) && (at == 0 || !is_of_word(text[at - 1]));
    const auto as_uuid = begins ? grouped(text.substr(at), uuid) : 0;
    const auto as_serial = begins && as_uuid == 0 ? grouped(text.substr(at), serial) : 0;
    if (const auto length = as_uuid + as_serial; length != 0) {
      const auto made_up = fmt::format("{}-{}", as_uuid != 0 ? "uuid" : "serial", numbers_.size() + 1);
      made += numbers_.try_emplace(std::string{text.substr(at, length)}, made_up).first->second;
      at += length;
    } else {
      made += text[at++];
    }
  }
  return made;
}

std::string anonymiser::text(std::string_view what) { return without_names(without_numbers(what)); }

json anonymiser::value(const json& what) {
  if (what.is_string()) {
    return text(what.get<std::string>());
  }
  auto made = what;
  if (what.is_structured()) {
    for (auto& each : made) {
      each = value(each);
    }
  }
  return made;
}

} // namespace client_program
