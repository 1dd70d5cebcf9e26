// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/scenario.hpp"
#include "pci/address.hpp"
#include "pci/protocol/reset.hpp"
#include "pci/result.hpp"

namespace config {

/// The device models that the simulated host has.
enum class device_model : std::uint8_t { e1000e, nvme, e1000, nvme_vf, bridge };
[[nodiscard]] std::string_view to_string(device_model model);

/// What the driver in a simulated guest does with the function that it finds.
enum class guest_driver : std::uint8_t {
  generic, ///< MSI-X, MSI or INTx, whichever comes first, once
  nvme,    ///< as Linux's: one vector, given back, then all (by the frontend's disable_msi)
};

/// Whose PCI frontend the guest has.
enum class guest_frontend : std::uint8_t { linux, mini_os, netbsd, freebsd };

/// How a guest behaves once its drivers are bound.
enum class guest_habit : std::uint8_t {
  normal,
  silent,  ///< it never answers again: neither states, nor errors, nor its own shutdown
  slow,    ///< it takes `slowness` for each answer
  hostile, ///< it writes rubbish into its page and its nodes, and raises events for nothing
};

/// What its toolstack does when a guest has crashed.
enum class crash_action : std::uint8_t { destroy, restart };

/// A function of the simulated host: a [[function]] of the file. Exactly one of `model` and `dump` is set.
struct simulated_function {
  pci::sbdf address;
  std::optional<device_model> model;
  std::optional<std::filesystem::path> dump; ///< what `lspci -xxxx` printed; relative to the file that names it
  unsigned gsi = 0;                          ///< 0: no INTx line
  bool level = true;                         ///< the line is level-triggered
  std::optional<pci::sbdf> dump_address;     ///< which function of a dump of several; empty: `address`, or the only one
  std::string driver;                        ///< of dom0, which has it first; empty: none
  bool driver_uses_line = false;             ///< dom0's driver has a handler on the line
  std::chrono::milliseconds reset_time{0};   ///< of each of the daemon's resets; up to 10 min
  std::optional<std::vector<pci::reset_method>> resets; ///< empty: what the model has
  std::optional<pci::sbdf> page_of;                     ///< it has a small BAR in one page with that function's
  position at{};                                        ///< in the file
};

/// A guest of the simulated host: a [[guest]] of the file.
struct simulated_guest {
  std::string name;
  std::vector<pci::sbdf> functions; ///< each a function of the file, and of no other guest
  guest_frontend frontend = guest_frontend::linux;
  guest_driver driver = guest_driver::generic;
  unsigned operations = 0; ///< configuration reads to make, once its drivers are bound
  std::chrono::milliseconds start_delay{0};
  bool autostart = true; ///< false: it waits for `pcibackctl sim start` or an event
  guest_habit habit = guest_habit::normal;
  std::chrono::milliseconds slowness{3000}; ///< up to 10 min
  crash_action on_crash = crash_action::destroy;
  position at{}; ///< in the file
};

/// A simulated host.
struct simulation {
  std::vector<simulated_function> functions;
  std::vector<simulated_guest> guests;
  std::vector<event> events;
};

/// Reads a simulated host from TOML, as strictly as the settings. `name` is the file's; a dump's path is relative to
/// its directory.
[[nodiscard]] pci::result<simulation> parse_simulation(std::string_view text, std::string_view name);
[[nodiscard]] pci::result<simulation> load_simulation(const std::filesystem::path& file);
/// With all that is wrong.
[[nodiscard]] read_result<simulation> read_simulation(std::string_view text, std::string_view name);

/// Guests and functions of the events that the simulation has not.
[[nodiscard]] complaints check_events(const std::vector<event>& events, const simulation& all);

} // namespace config
