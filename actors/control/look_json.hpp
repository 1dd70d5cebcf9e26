// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "actors/look/happenings.hpp"
#include "actors/look/pulse.hpp"
#include "actors/look/thread_account.hpp"

namespace actors::control {

// For scripts: the names and the order of the fields do not change; what is absent is null.

/// {"actors": [...], "threads": [...]}. Times are in milliseconds.
[[nodiscard]] nlohmann::ordered_json json_of(const std::vector<actor_account>& actors,
                                             const std::vector<thread_account>& threads);

/// The time is in UTC, with milliseconds.
[[nodiscard]] nlohmann::ordered_json json_of(const event& what);

} // namespace actors::control
