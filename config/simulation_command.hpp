// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pci/address.hpp"
#include "pci/protocol/aer.hpp"
#include "pci/result.hpp"

namespace config {

/// What can be done to a simulated host while it runs.
enum class simulation_action : std::uint8_t {
  // to a guest
  start,  ///< build it again
  kill,   ///< as `xl destroy`
  reboot, ///< it shuts down in order, and is built again
  crash,  ///< it ends without a word; what then happens its on_crash says
  flood,  ///< it raises events and operations without end
  // to a function
  raise,  ///< an interrupt
  storm,  ///< interrupts without end
  error,  ///< it reports an error (AER)
  unplug, ///< the card is pulled
  plug,   ///< the card is put in again
  // to either
  stall, ///< a guest does nothing; each access to a function's configuration space takes 100 ms
  // what the administrator does, in a scenario alone: `pcibackctl` has commands of its own for it
  hold,
  release,
  attach,
  detach,
  drain,
  retry,
  // in a scenario alone: the simulation ends
  end,
};
[[nodiscard]] std::string_view to_string(simulation_action action);

/// The names of all actions, or of those that `pcibackctl sim` has.
[[nodiscard]] std::vector<std::string_view> action_names(bool with_scenario = true);
[[nodiscard]] std::optional<simulation_action> parse_action(std::string_view name);

/// One thing that is done. What an action has no use for is refused by `check`.
struct simulation_command {
  static constexpr std::chrono::milliseconds usual_time{5000};
  static constexpr std::chrono::milliseconds longest_time{600000};
  static constexpr unsigned most_interrupts = 1000000;
  static constexpr unsigned most_vectors = 2048;

  simulation_action action = simulation_action::start;
  std::string guest{};                             ///< empty: none
  std::optional<pci::sbdf> function{};             ///< with a guest too for attach and detach alone
  std::optional<std::chrono::milliseconds> time{}; ///< of flood, storm and stall; up to 10 min
  std::optional<unsigned> count{};                 ///< of raise; 1 to a million
  std::optional<unsigned> vector{};                ///< of raise and storm: the MSI-X entry
  std::optional<pci::error_severity> severity{};   ///< of error
};

/// EINVAL when a guest or a function is missing, or something is given that the action has no use for. One line.
[[nodiscard]] pci::result<void> check(const simulation_command& what);

/// "kill web", "attach web 0000:03:00.0".
[[nodiscard]] std::string to_string(const simulation_command& what);

/// The severities' names, in their order: "corrected", "nonfatal", "fatal".
[[nodiscard]] const std::vector<std::string_view>& severity_names();

} // namespace config
