// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>

#include "pci/function.hpp"

namespace pci {

/// What a person calls the register at an offset: "COMMAND", "Express+8 (Device Control)", "AER+14". The capability is
/// the one that begins last before it in the reference copy. Empty: nothing is known there.
/// Source: PCI Express Base 5.0 chapter 7, with the specification's names.
[[nodiscard]] std::string register_name(const function& function, std::uint16_t offset);

/// What it calls a capability: "MSI-X", "AER"; "Capability 2c" for one that it does not know.
[[nodiscard]] std::string capability_name(std::uint8_t id);
[[nodiscard]] std::string extended_capability_name(std::uint16_t id);

} // namespace pci
