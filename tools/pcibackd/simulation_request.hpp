// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "actors/control/request.hpp"
#include "config/simulation_command.hpp"
#include "pci/result.hpp"

namespace daemon_program {

/// The method `sim` of the control socket, which a daemon on a simulated host has besides the others.
struct simulation_request {
  actors::control::request_id id;
  /// EINVAL: its parameters are wrong, in one line.
  pci::result<config::simulation_command> what;
};

/// Reads one line of the control socket: {"action": ..., "guest" or "function": ..., "seconds", "count", "vector",
/// "severity"} are the parameters. Empty: another method, or nothing that can be read; the control actor has the answer
/// to it. Never throws.
[[nodiscard]] std::optional<simulation_request> parse_simulation_request(std::string_view line);

/// {"message": ...}, or the failure.
[[nodiscard]] std::string answer_to(const actors::control::request_id& id, const pci::result<std::string>& outcome);

} // namespace daemon_program
