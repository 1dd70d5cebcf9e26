// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "messages/explanation.hpp"

namespace actors::control {

/// The result of `explain`, for scripts and for `pcibackctl`: the names and the order of the fields do not change; what
/// is absent is null. Ends with the one verdict; each function has its own, too.
[[nodiscard]] nlohmann::ordered_json json_of(const messages::explanation& all);

} // namespace actors::control
