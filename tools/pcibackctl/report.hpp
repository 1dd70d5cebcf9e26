// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include <tl/expected.hpp>

#include "tools/pcibackctl/client.hpp"
#include "tools/pcibackctl/json_text.hpp"

/// All that a bug report needs, in one file.
namespace client_program {

/// Asks the daemon for everything: the versions, its settings, `list`, `explain` of each function, `actors`, `metrics`,
/// the last events and lines of the log. What it does not answer is told in its place; a daemon that does not answer at
/// all is a failure.
[[nodiscard]] tl::expected<json, complaint> collect_report(const std::string& socket, const std::string& version,
                                                           const patience& how);

/// Without guests' names, UUIDs and serial numbers.
[[nodiscard]] json anonymous_report(const json& report);

/// As a text, a section for each part.
[[nodiscard]] std::string report_text(const json& report);
/// As one object, with the end of the line.
[[nodiscard]] std::string report_json(const json& report);

} // namespace client_program
