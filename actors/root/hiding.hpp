// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actors/live_settings.hpp"
#include "pci/selector.hpp"
#include "platform/host.hpp"

/// Which functions are kept from dom0, and which must not be. Plain functions that may block.
namespace actors {

/// The functions that the settings want held, and whether from whatever driver has them: those of the host that match,
/// and those that are named by their addresses alone whether the host has them or not.
[[nodiscard]] std::vector<std::pair<pci::sbdf, bool>> functions_to_hold(platform::host& host, const settings& what);

/// What is known of a function before it is held.
struct admission {
  pci::identity what;
  settings::device wanted;                    ///< the defaults, when nothing is set for it
  std::optional<pci::sbdf> physical_function; ///< whose virtual function it is
  std::string objection;                      ///< why it must not be held; empty: it may
};
/// Looks at a function before it is taken from dom0, and changes nothing. ENODEV: no such function.
[[nodiscard]] pci::result<admission> admit(platform::host& host, const settings& what, const pci::sbdf& address);

/// A function that has appeared and is to be held.
struct arrival {
  bool seize = false;                                  ///< from whatever driver has it
  std::optional<pci::result<admission>> admitted = {}; ///< what a look at it came to; empty: none was needed so far
};
/// What is to be done with a function that has appeared; empty: it is dom0's, and was not touched unless it may be
/// below a hidden bridge, of which only its description tells.
[[nodiscard]] std::optional<arrival> look_at_added(platform::host& host, const settings& what,
                                                   const pci::sbdf& address);

} // namespace actors
