// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "pci/result.hpp"
#include "tools/pcibackctl/json_text.hpp"

/// The result of `list`, as its readers need it.
namespace client_program {

/// EPROTO: it has another form.
[[nodiscard]] pci::result<json> parse_overview(const std::string& result);

/// The served guest of that number; null: there is none.
[[nodiscard]] const json& domain_of(const json& overview, const std::string& number);

/// "web (3)"; "3" for a guest that has no name.
[[nodiscard]] std::string guest_words(const json& overview, const std::string& number);

/// Who has the function, in words: "web (4), by its stub domain 5"; empty: nobody.
[[nodiscard]] std::string guest_of(const json& overview, const json& function);

} // namespace client_program
