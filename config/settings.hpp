#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "pci/address.hpp"
#include "pci/policy.hpp"
#include "pci/protocol/topology.hpp"
#include "pci/result.hpp"

namespace config {

/// The least important message that is logged.
enum class log_level : std::uint8_t { trace, debug, info, warning, error };

/// One function and what is to be done with it: a [[device]] of the file.
struct device {
  pci::sbdf match;
  bool hold = true;   ///< at start
  bool seize = false; ///< from whatever driver has it
  pci::policy policy;
};

/// What the administrator set. The defaults are those of an empty file.
struct settings {
  std::string socket = "/run/pcibackd/control.sock"; ///< absolute; at most 107 bytes (sun_path)
  log_level level = log_level::info;
  pci::topology_mode topology = pci::topology_mode::vpci;
  std::chrono::milliseconds frontend_patience{5000}; ///< 100 ms to 10 min
  std::chrono::seconds aer_patience{30};             ///< 1 s to 10 min
  std::vector<device> devices;                       ///< no address twice
};

/// Reads settings from TOML, strictly. The failure (EINVAL) is one line, "NAME:LINE:COLUMN: what; how to mend it", of
/// the first thing that is wrong.
[[nodiscard]] pci::result<settings> parse(std::string_view text, std::string_view name);

/// Reads settings from a file; its name stands in front of every failure.
[[nodiscard]] pci::result<settings> load(const std::filesystem::path& file);

} // namespace config
