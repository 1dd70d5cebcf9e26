// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pci/function.hpp"

/// A configuration space in words, in the manner of `lspci -vv`.
namespace pci {

/// One register, or a few that belong together.
struct decoded_register {
  std::uint16_t offset = 0;
  std::uint8_t size = 0; ///< bytes: 1, 2, 4 or 8
  std::string name;      ///< "Control"
  std::string text;      ///< "I/O- Mem+ BusMaster+"
};

/// The header, or a capability.
struct decoded_block {
  std::uint16_t offset = 0;
  std::string name; ///< "MSI-X"
  std::vector<decoded_register> registers;
};

/// What the bytes `values` mean where the registers lie as in the reference copy of `layout`, so that what several
/// spaces of one function mean can be laid side by side: the blocks and registers are always the same. A byte that
/// `values` does not have is taken for ff. Whatever the bytes are, it ends. Source: PCI 3.0 chapter 6, PCI Express Base
/// 5.0 chapter 7, PCI Power Management 1.2.
[[nodiscard]] std::vector<decoded_block> decode(const function& layout, std::span<const std::byte> values);

/// The offsets of the words (4 bytes) of a space of `size` bytes of which no block tells anything.
[[nodiscard]] std::vector<std::uint16_t> untold_words(const std::vector<decoded_block>& blocks, std::size_t size);

} // namespace pci
