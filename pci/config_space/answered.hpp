// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "pci/config_space/port.hpp"

namespace pci {

/// Reads a register whose value is to be kept in part and written back. A function that does not answer, as for a while
/// after a reset or in a deep power state, reads all ones: these are a value only while STATUS, which is never all
/// ones, answers too. ENODEV: it stays silent for a bounded number of reads.
[[nodiscard]] result<std::uint32_t> read_answered(config_port& port, std::uint16_t offset, unsigned width);

/// Clears `clear` and sets `set` in a 16-bit control register, with one write of that width or, when it is so already,
/// with none. Returns what it was. ENODEV: it reads all ones, which no control register is.
[[nodiscard]] result<std::uint32_t> update_control(config_port& port, std::uint16_t offset, std::uint32_t clear,
                                                   std::uint32_t set);

} // namespace pci
