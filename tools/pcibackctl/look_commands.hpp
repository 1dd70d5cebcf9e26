// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>

#include <tl/expected.hpp>

#include "tools/pcibackctl/client.hpp"

namespace client_program {

/// The commands that look inside the daemon: `actors`, `metrics` and `watch`, which goes on until the daemon ends.
/// Prints on standard output. Empty: the method is none of them. A failure is one line.
[[nodiscard]] std::optional<tl::expected<void, complaint>>
run_look(const std::string& method, const std::string& socket, bool as_json, const patience& how);

} // namespace client_program
