// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "actors/look/trace.hpp"
#include "messages/types.hpp"

namespace actors::control {

// For scripts: the names and the order of the fields do not change; what is absent is null.

/// The spaces as hexadecimal digits, two a byte.
[[nodiscard]] nlohmann::ordered_json json_of(const messages::config_account& account);

/// {"operations": [...], "lost": 0, ...}. Times are in UTC, with nanoseconds; how long an operation took is too.
[[nodiscard]] nlohmann::ordered_json json_of(const trace_batch& batch);

} // namespace actors::control
