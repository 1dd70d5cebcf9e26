// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.hpp"
#include "pci/result.hpp"
#include "pci/settings.hpp"

namespace config {

/// The least important message that is logged.
enum class log_level : std::uint8_t { trace, debug, info, warning, error };

using device = pci::settings::device;
using guest = pci::settings::guest;
using assignment = pci::settings::assignment;

/// What a file of settings says: what the actors need, and what the process needs besides.
struct settings : pci::settings {
  std::string file;                                  ///< that they were read from; empty: none
  bool socket_given = false;                         ///< by the command line, whatever the file says
  std::string socket = "/run/pcibackd/control.sock"; ///< absolute; at most 107 bytes (sun_path)
  std::string runtime = "/run/pcibackd";             ///< absolute: where the journal is; gone after a boot
  std::string metrics_file;                          ///< absolute, written every 15 s for node_exporter; empty: none is
  log_level level = log_level::info;
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
