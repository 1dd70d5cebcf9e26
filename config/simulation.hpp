// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pci/address.hpp"
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

/// A function of the simulated host: a [[function]] of the file. Exactly one of `model` and `dump` is set.
struct simulated_function {
  pci::sbdf address;
  std::optional<device_model> model;
  std::optional<std::filesystem::path> dump; ///< what `lspci -xxxx` printed; relative to the file that names it
  unsigned gsi = 0;                          ///< 0: no INTx line
  bool level = true;                         ///< the line is level-triggered
};

/// A guest of the simulated host: a [[guest]] of the file.
struct simulated_guest {
  std::string name;
  std::vector<pci::sbdf> functions; ///< each a function of the file, and of no other guest
  guest_frontend frontend = guest_frontend::linux;
  guest_driver driver = guest_driver::generic;
  unsigned operations = 0; ///< configuration reads to make, once its drivers are bound
  std::chrono::milliseconds start_delay{0};
};

/// A simulated host.
struct simulation {
  std::vector<simulated_function> functions;
  std::vector<simulated_guest> guests;
};

/// Reads a simulated host from TOML, as strictly as the settings. `name` is the file's; a dump's path is relative to
/// its directory.
[[nodiscard]] pci::result<simulation> parse_simulation(std::string_view text, std::string_view name);
[[nodiscard]] pci::result<simulation> load_simulation(const std::filesystem::path& file);

} // namespace config
