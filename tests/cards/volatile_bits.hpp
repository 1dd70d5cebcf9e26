// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "pci/function.hpp"

namespace cards {

/// The bits of the dword at `offset` that a card changes by itself, or that nobody can put back.
[[nodiscard]] std::uint32_t changing_bits(const pci::function& function, std::uint16_t offset);

/// A register that no specification tells of. What a reset has made of it is told, and put back only after a guest that
/// could have written there.
[[nodiscard]] bool is_vendors_own(const pci::function& function, std::uint16_t offset);

} // namespace cards
