// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <string>

#include "config/settings.hpp"
#include "pci/address.hpp"

namespace daemon_program {

/// udev's rules that keep dom0's drivers away from the functions that the settings want held, from before the daemon
/// starts. `spared`: functions that are dom0's whatever the settings match, and why.
[[nodiscard]] std::string udev_rules(const config::settings& settings, const std::map<pci::sbdf, std::string>& spared);

} // namespace daemon_program
