// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "messages/types.hpp"

namespace actors::control {

/// Everything at once, for scripts: the names and the order of the fields do not change; what is absent is null.
[[nodiscard]] nlohmann::ordered_json json_of(const messages::overview& all);
/// One of its `functions`, one of its `domains`.
[[nodiscard]] nlohmann::ordered_json json_of(const messages::function_status& function);
[[nodiscard]] nlohmann::ordered_json json_of(const messages::domain_status& domain);

} // namespace actors::control
