// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.hpp"
#include "pci/access_budget.hpp"
#include "pci/address.hpp"
#include "pci/busy_poll.hpp"
#include "pci/policy.hpp"
#include "pci/protocol/topology.hpp"
#include "pci/result.hpp"
#include "pci/selector.hpp"

namespace config {

/// The least important message that is logged.
enum class log_level : std::uint8_t { trace, debug, info, warning, error };

/// Functions and what is to be done with them: a [[device]] of the file.
struct device {
  pci::selector match;
  bool hold = true;           ///< at start, and when one appears
  bool seize = false;         ///< from whatever driver has it
  bool keep_policy = false;   ///< what is switched at run time holds until the function is released, not one lease
  bool override_boot = false; ///< even when dom0 runs from it
  std::optional<pci::pin> pin;
  pci::policy policy;
  position at{}; ///< in the file
};

/// What is to be known of one guest: a [[guest]] of the file.
struct guest {
  std::string match;    ///< its name or its UUID
  bool hot_plug = true; ///< false: its frontend must not see the states of a hot-plug (NetBSD's panics)
  position at{};        ///< in the file
};

/// A guest and what it is given whenever it appears: an [[assign]] of the file.
struct assignment {
  std::string domain;             ///< its name or its UUID
  std::vector<pci::sbdf> devices; ///< in the order in which the guest gets them; none twice
  position at{};                  ///< in the file
};

/// What the administrator set. The defaults are those of an empty file.
struct settings {
  std::string file;                                  ///< that they were read from; empty: none
  bool socket_given = false;                         ///< by the command line, whatever the file says
  std::string socket = "/run/pcibackd/control.sock"; ///< absolute; at most 107 bytes (sun_path)
  std::string runtime = "/run/pcibackd";             ///< absolute: where the journal is; gone after a boot
  std::string metrics_file;                          ///< absolute, written every 15 s for node_exporter; empty: none is
  log_level level = log_level::info;
  pci::topology_mode topology = pci::topology_mode::vpci;
  pci::function_numbers function_numbers = pci::function_numbers::from_zero;
  std::chrono::milliseconds frontend_patience{2000}; ///< of one that does not move: 100 ms to 10 min
  bool permissive = false;                           ///< every function: pciback's parameter of that name
  unsigned interrupt_rate = 25;                      ///< switchings of MSI and MSI-X a second of a guest: 5 to 1000
  unsigned access_rate = pci::access_budget::default_rate; ///< other operations a second of a guest: 100 to 1000000
  pci::busy_poll::limits polling;                          ///< at most 1 ms, 100 %
  unsigned line_rate = 20000;                              ///< interrupts a second of a shared line: 100 to 1000000
  std::chrono::seconds aer_patience{30};                   ///< 1 s to 10 min
  std::vector<pci::sbdf_pattern> hide; ///< the same as a [[device]] for each, after those of the file
  std::vector<device> devices;         ///< none matches by the same as another
  std::vector<guest> guests;           ///< none twice
  std::vector<assignment> assignments; ///< no domain twice
};

/// Reads settings from TOML, strictly. The failure (EINVAL) is one line, "NAME:LINE:COLUMN: what; how to mend it", of
/// the first thing that is wrong,
/// and how many others there are.
[[nodiscard]] pci::result<settings> parse(std::string_view text, std::string_view name);

/// A file from end to end: what it says, if it can be used, and all that is to be told of it, "NAME:LINE:COLUMN: ..."
/// each, from the top.
struct examined {
  std::optional<settings> good;
  std::vector<std::string> mistakes;
  std::vector<std::string> warnings; ///< of what is accepted and can hardly be meant
};
[[nodiscard]] examined examine(std::string_view text, std::string_view name);

/// What can hardly be meant: one function in two [[assign]], one that is assigned and never held, quirks of a function
/// that overlap.
[[nodiscard]] complaints doubts_about(const settings& all);
/// The guests of the settings that are none of `known`, by name or UUID.
[[nodiscard]] complaints unknown_guests(const settings& all, const std::vector<std::string>& known);

/// Reads settings from a file; its name stands in front of every failure.
[[nodiscard]] pci::result<settings> load(const std::filesystem::path& file);

} // namespace config
