// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/json_text.hpp"

namespace client_program {
namespace {

const json* member_of(const json& from, const char* name) {
  const auto found = from.is_object() ? from.find(name) : from.end();
  return from.is_object() && found != from.end() ? &*found : nullptr;
}

} // namespace

std::string printable(std::string text) {
  for (auto& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    c = byte < ' ' || byte == 0x7f ? '?' : c;
  }
  return text;
}

std::string text_in(const json& from, const char* name) {
  const auto* found = member_of(from, name);
  if (found == nullptr || found->is_null() || found->is_structured()) {
    return {};
  }
  return printable(found->is_string() ? *found->get_ptr<const std::string*>() : found->dump());
}

const json& object_in(const json& from, const char* name) {
  static const json none;
  const auto* found = member_of(from, name);
  return found != nullptr && found->is_object() ? *found : none;
}

const json& list_in(const json& from, const char* name) {
  static const json none = json::array();
  const auto* found = member_of(from, name);
  return found != nullptr && found->is_array() ? *found : none;
}

bool flag_in(const json& from, const char* name) {
  const auto* found = member_of(from, name);
  return found != nullptr && found->is_boolean() && found->get<bool>();
}

} // namespace client_program
