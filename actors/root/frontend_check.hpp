// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "actors/environment.hpp"
#include "messages/types.hpp"

namespace actors {

/// What is to be expected of a guest's frontend when functions are added or taken while it runs.
enum class frontend_manner : std::uint8_t {
  absent, ///< there is none (yet, or any more) that could look at the backend's state
  plugs,  ///< it runs, and takes part
};

/// Looks at a guest before the daemon's own commands touch it. `looks_able`: what its domain actor makes of it; the
/// settings' word and a view of its own count more. EOPNOTSUPP: its frontend runs, and would not survive the state 7.
/// May block.
[[nodiscard]] pci::result<frontend_manner> check_frontend(const environment& all, messages::domain_id domain,
                                                          bool looks_able);

} // namespace actors
