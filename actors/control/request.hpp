// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <tl/expected.hpp>

#include "messages/types.hpp"
#include "pci/address.hpp"
#include "pci/policy.hpp"

namespace actors::control {

/// A request's line, its end not counted. Longer ones are refused.
inline constexpr std::size_t longest_request = std::size_t{64} * 1024;

// The methods, with their parameters.
struct hold {
  pci::sbdf address;
  bool seize = false;
};
struct release {
  pci::sbdf address;
  bool probe = true; ///< a driver of dom0 is asked to take it
};
struct retry {
  pci::sbdf address;
};
struct attach {
  messages::domain_name domain;
  pci::sbdf address;
  messages::attach_options how{};
};
struct detach {
  messages::domain_name domain;
  pci::sbdf address;
};
/// A function, or all of a guest's.
struct drain {
  std::variant<pci::sbdf, messages::domain_name> what;
};
struct acknowledge {
  pci::sbdf address;
  bool on = false;
};
/// The methods `permissive`, `interrupt_control` and `quirk`.
struct change {
  pci::sbdf address;
  pci::policy_change what;
};
struct registers {
  pci::sbdf address;
};
/// Its configuration space: as it was, as it is, as a guest reads it.
struct configuration {
  pci::sbdf address;
};
struct list {};
/// A function, or a guest with all that it has or is to have.
struct explain {
  std::variant<pci::sbdf, messages::domain_name> what;
};
/// Who owns whom, and how each is: answered without asking any of them.
struct look {};
/// What is counted, in Prometheus' text form.
struct metrics {};
/// What happens from now on is told to the connection.
struct watch {};
/// The operations of guests since the connection asked last; the first time begins a trace.
struct trace {
  std::optional<pci::sbdf> address;           ///< of this function alone
  std::optional<messages::domain_name> guest; ///< of this guest alone
  bool end = false;                           ///< there is nothing more to be told
};
/// Other settings: their text and what its file is called; without a text the daemon's own file is read again.
struct reload {
  std::optional<std::string> text;
  std::string name;
};
/// The last events, and the last lines of the log.
struct recent {};
struct version {};
using command = std::variant<hold, release, retry, attach, detach, drain, acknowledge, change, registers, configuration,
                             list, explain, look, metrics, watch, trace, reload, recent, version>;

/// What the answer repeats of the request: its id as JSON text. Empty: a notification, which gets no answer.
using request_id = std::optional<std::string>;

struct request {
  request_id id;
  command what;
};

/// JSON-RPC 2.0, section 5.1; what the daemon could not do is `application`.
enum class error_code : int {
  parse_error = -32700,
  invalid_request = -32600,
  method_not_found = -32601,
  invalid_params = -32602,
  application = -32000,
};

/// A request that is not carried out.
struct refusal {
  request_id id; ///< "null" when it could not be read
  error_code code = error_code::invalid_request;
  std::string message; ///< one line: what is wrong; how to mend it
};

/// Reads one line of the control socket: a JSON-RPC 2.0 request with its parameters by name. Strict: unknown and
/// missing parameters, wrong types, numbers out of range and batches are refused. Never throws on any text.
[[nodiscard]] tl::expected<request, refusal> parse_request(std::string_view line);

} // namespace actors::control
