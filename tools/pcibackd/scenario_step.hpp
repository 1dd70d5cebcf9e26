// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <string>

#include "actors/runtime.hpp"
#include "config/simulation_command.hpp"

namespace daemon_program {

/// What an administrator does with `pcibackctl`, done by a scenario: hold (from whatever driver has it), release,
/// attach, detach, drain, retry. Returns at once; `report` is given one line when it is over, on any thread.
void administer(actors::runtime& runtime, const config::simulation_command& what,
                std::function<void(const std::string& line)> report);

} // namespace daemon_program
