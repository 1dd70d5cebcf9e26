// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "actors/control/request.hpp"
#include "actors/look/happenings.hpp"
#include "actors/look/pulse.hpp"
#include "actors/look/thread_account.hpp"
#include "actors/look/trace.hpp"
#include "messages/explanation.hpp"
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
[[nodiscard]] std::string explained(const request_id& id, const messages::explanation& all);
/// The result of config.
[[nodiscard]] std::string configured(const request_id& id, const messages::config_account& of);
/// The result of trace.
[[nodiscard]] std::string traced(const request_id& id, const trace_batch& what);
/// The result of reload: the keys that hold now, and those that need a restart.
[[nodiscard]] std::string reloaded(const request_id& id, const std::vector<std::string>& taken,
                                   const std::vector<std::string>& restart);
/// The result of recent.
[[nodiscard]] std::string recalled(const request_id& id, const std::deque<event>& events,
                                   const std::vector<std::string>& log);
/// The result of version. `settings`: the file that the daemon has them from; empty: none.
[[nodiscard]] std::string version_of(const request_id& id, const std::string& settings = {});
/// The result of actors.
[[nodiscard]] std::string looked_at(const request_id& id, const std::vector<actor_account>& actors,
                                    const std::vector<thread_account>& threads);
/// The result of metrics.
[[nodiscard]] std::string measured(const request_id& id, std::string_view text);
/// What a connection that watches is told: a notification.
[[nodiscard]] std::string told(const event& what);
/// And that it has missed so many, for it did not read.
[[nodiscard]] std::string told_of_loss(std::uint64_t count);
/// What the daemon could not do. The error's message is the line that a person reads in a log. Its data is for
/// programs, with stable keys: `errno`, its `name` ("EBUSY"), its `kind` (pci::failure_kind), and `what`, the words
/// without the errno's.
[[nodiscard]] std::string failed(const request_id& id, const pci::failure& why);
/// What is no request: the data's `kind` is "usage".
[[nodiscard]] std::string refused(const refusal& why);

/// The overview alone, as the result of list has it.
[[nodiscard]] std::string to_json(const messages::overview& all);

} // namespace actors::control
