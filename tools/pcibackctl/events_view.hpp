// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "pci/result.hpp"

namespace client_program {

// What the daemon tells a connection that watches, one notification a line. EPROTO: the line is none.

/// For people, with its end: when, what, which function, whose, why.
[[nodiscard]] pci::result<std::string> event_line(const std::string& line);

/// The event alone as a line of JSON, with its end.
[[nodiscard]] pci::result<std::string> event_json(const std::string& line);

/// The text in the result of `metrics`.
[[nodiscard]] pci::result<std::string> metrics_of_result(const std::string& result);

} // namespace client_program
