// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "messages/types.hpp"

namespace actors::control {

/// One function's registers, for scripts: the names and the order of the fields do not change. Numbers that a person
/// knows in hexadecimal are texts.
[[nodiscard]] nlohmann::ordered_json json_of(const messages::register_account& account);

/// As the settings take them: ["4c:4:ffffffff"].
[[nodiscard]] nlohmann::ordered_json json_of(const std::vector<pci::quirk>& quirks);

} // namespace actors::control
