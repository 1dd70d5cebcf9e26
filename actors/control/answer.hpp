// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>

#include "actors/control/request.hpp"
#include "messages/types.hpp"
#include "pci/result.hpp"

namespace actors::control {

// One line of JSON each, without its end. The order of the fields is fixed. Empty when `id` is: a notification.

/// The result of what changes something and has nothing to say: {}.
[[nodiscard]] std::string done(const request_id& id);
/// The result of attach: where the guest sees the function.
[[nodiscard]] std::string attached(const request_id& id, const pci::sbdf& virtual_address);
[[nodiscard]] std::string listed(const request_id& id, const messages::overview& all);
/// The result of registers.
[[nodiscard]] std::string accounted(const request_id& id, const messages::register_account& of);
[[nodiscard]] std::string version_of(const request_id& id);
/// What the daemon could not do: its errno and words are in the error's data, the line that a person reads in its
/// message.
[[nodiscard]] std::string failed(const request_id& id, const pci::failure& why);
[[nodiscard]] std::string refused(const refusal& why);

/// The overview alone, as the result of list has it.
[[nodiscard]] std::string to_json(const messages::overview& all);

} // namespace actors::control
