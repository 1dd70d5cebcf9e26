// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "platform/sim/device.hpp"

namespace platform::sim {

/// A function that is found in a dump, ready for the simulated machine.
struct dumped_function {
  device_model model;
  bool says_line = false; ///< "irq:" stood in the text; otherwise the line is one of the simulated machine's
  bool flr_kills = false; ///< "# flr kills" stood there: it answers nothing after a function-level reset, until its bus
                          ///< is reset
};

/// Reads what `lspci -xxxx` printed of one function or of a whole machine, `-v` and `-vv` too, with the additions of
/// `parse_dump`. What lspci does not say, or is another machine's, is put in: a line of the simulated machine for the
/// one that the firmware wrote down, ports below 64 Ki, and BARs that are large enough for the MSI-X table. EINVAL with
/// the address of what cannot be read.
[[nodiscard]] pci::result<std::vector<dumped_function>> parse_lspci(std::string_view text);

/// The same of a file, up to 16 MiB, whose name stands in front of a failure.
[[nodiscard]] pci::result<std::vector<dumped_function>> load_lspci(const std::filesystem::path& file);

} // namespace platform::sim
