// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include <nlohmann/json.hpp>

/// Reading answers whose form may be that of another version: what is absent or of another kind is empty.
namespace client_program {

using json = nlohmann::ordered_json;

/// A scalar's text; empty for what is absent, null, an object or an array.
[[nodiscard]] std::string text_in(const json& from, const char* name);
/// An object's member; null for what is absent or of another kind.
[[nodiscard]] const json& object_in(const json& from, const char* name);
/// An array's; empty likewise.
[[nodiscard]] const json& list_in(const json& from, const char* name);
[[nodiscard]] bool flag_in(const json& from, const char* name);
/// Without what is not printable, which may have come from a guest or a card; bytes of UTF-8 stay.
[[nodiscard]] std::string printable(std::string text);

} // namespace client_program
