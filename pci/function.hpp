// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pci/address.hpp"

namespace pci {

/// A line of sysfs `resource`: host physical addresses (or ports), both ends included, and Linux's IORESOURCE_ flags.
struct resource {
  static constexpr std::uint64_t io = 0x100;            ///< IORESOURCE_IO
  static constexpr std::uint64_t memory = 0x200;        ///< IORESOURCE_MEM
  static constexpr std::uint64_t prefetch = 0x2000;     ///< IORESOURCE_PREFETCH
  static constexpr std::uint64_t memory_64 = 0x100000;  ///< IORESOURCE_MEM_64
  static constexpr std::uint64_t disabled = 0x10000000; ///< IORESOURCE_DISABLED
  static constexpr std::uint64_t unset = 0x20000000;    ///< IORESOURCE_UNSET
  static constexpr std::uint64_t busy = 0x80000000;     ///< IORESOURCE_BUSY

  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::uint64_t flags = 0;

  /// Bytes (or ports); 0 for a resource that is not implemented.
  [[nodiscard]] constexpr std::uint64_t size() const { return flags == 0 || end < start ? 0 : end - start + 1; }
  [[nodiscard]] constexpr bool is_io() const { return (flags & io) != 0; }
  [[nodiscard]] constexpr bool is_memory() const { return (flags & memory) != 0; }
  friend bool operator==(const resource&, const resource&) = default;
};

/// The line of a function by its `irq` in sysfs; 0: none. Numbers from 255 on say that none is connected, among them
/// Linux's IRQ_NOTCONNECTED, and a PV guest reads its line from a register of 8 bits. libxl takes the same.
[[nodiscard]] constexpr unsigned connected_line(unsigned irq) { return irq < 0xff ? irq : 0; }

/// What the host knows of a PCI function. Taken once, when the function is held, and trusted from then on: what
/// guest-owned hardware says later is not (XSA-337).
struct function {
  static constexpr std::size_t rom = 6; ///< index of the expansion ROM among the resources

  sbdf address;
  std::uint16_t vendor = 0; ///< from sysfs: a virtual function's own register reads ffff
  std::uint16_t device = 0;
  std::uint32_t class_code = 0;          ///< 24 bits: base class, subclass, programming interface
  std::array<resource, 7> resources;     ///< BARs 0..5 and the ROM
  unsigned irq = 0;                      ///< the GSI as Linux and Xen know it; 0: no INTx line (virtual functions)
  std::optional<sbdf> physical_function; ///< set for an SR-IOV virtual function
  std::vector<sbdf> bridges;             ///< above it, the nearest first: a reset of one's bus resets it
  std::vector<std::byte> config;         ///< the reference copy of the configuration space: 256 or 4096 bytes

  [[nodiscard]] bool is_virtual() const { return physical_function.has_value(); }
  [[nodiscard]] std::size_t config_size() const { return config.size(); }
  /// Little-endian read from the reference copy; all ones beyond its end. `width` is 1, 2 or 4.
  [[nodiscard]] std::uint32_t copy(std::size_t offset, unsigned width) const;
  /// Of its header: 0 a function, 1 a PCI-to-PCI bridge, 2 CardBus. Source: PCI 3.0, 6.1, Header Type.
  [[nodiscard]] unsigned header_layout() const;
};

} // namespace pci
