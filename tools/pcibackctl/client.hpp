// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "pci/address.hpp"
#include "pci/result.hpp"

namespace client_program {

/// What the administrator asked for.
struct call {
  std::string method;
  std::optional<std::string> domain; ///< number or name
  std::optional<pci::sbdf> address;
  std::optional<bool> seize;
  std::optional<bool> on;
  std::optional<std::string> quirk{}; ///< REG:SIZE:MASK
  std::optional<bool> probe{};
  std::optional<std::string> rdm{}; ///< strict or relaxed
};

/// The request's line, without its end.
[[nodiscard]] std::string request_line(const call& what);

/// The result in an answer's line, as JSON text. A failure has the daemon's errno and the one line for the
/// administrator, which needs no errno after it; EPROTO: the line is no answer.
[[nodiscard]] pci::result<std::string> result_of(const std::string& line);

/// Sends a line to the daemon that serves `socket` and waits for its answer. The failure is one line.
[[nodiscard]] pci::result<std::string> exchange(const std::string& socket, const std::string& line);

/// The same, and goes on: hands each line to `each`, the answer first, until that returns false or the daemon closes
/// the connection, which is a failure (ECONNRESET).
[[nodiscard]] pci::result<void> follow(const std::string& socket, const std::string& line,
                                       const std::function<bool(const std::string& line)>& each);

} // namespace client_program
