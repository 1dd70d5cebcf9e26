// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include "platform/remote/remote_host.hpp"

namespace daemon_program {

/// What somebody who has taken the worker over might try.
struct attempt {
  std::string what;
  bool refused = false;
  std::string answer; ///< the errno's text, or what the host process said
};

/// Tries all that the worker must not be able to do: by itself, and through the host process. Called in a worker, after
/// it has given up its rights. What would do harm if it were not refused is tried on what is not there.
[[nodiscard]] std::vector<attempt> try_to_break_out(platform::remote::remote_host& host);
/// The first half of that.
[[nodiscard]] std::vector<attempt> try_system_calls();

} // namespace daemon_program
