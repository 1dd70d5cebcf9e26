// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "fuzz/support/input.hpp"
#include "pci/function.hpp"

/// A simple model of what a guest sees of a card and may do to it. It shares no code with pci/ but the types that are
/// handed over: what it knows of a card it knows from the plan that the card was made by, not from its bytes.
namespace model {

enum class kind : std::uint8_t { pm, vpd, msi, msix, express, other };

struct capability {
  kind what = kind::other;
  std::uint8_t id = 0;
  std::uint8_t offset = 0;
  std::uint8_t length = 2; ///< of what is used of it
  // PM
  bool d1 = false, d2 = false;
  // MSI-X
  unsigned entries = 1;
  unsigned table_bar = 0, pending_bar = 0;
  std::uint32_t table_at = 0, pending_at = 0;

  bool sound = false; ///< a guest can use it: within the space, the first of its kind, its structures where they can be
};

enum class bar_kind : std::uint8_t { none, ports, memory, wide_memory };

/// What the host has given one of the registers.
struct bar {
  bar_kind what = bar_kind::none;
  bool prefetchable = false;
  bool given = false; ///< it has an address that a guest can be shown
  bool fixed = false; ///< and no register that says so
  std::uint64_t start = 0, size = 0;
};

struct blueprint {
  bool extended = false; ///< 4096 bytes, not 256
  bool bridge = false;   ///< header type 1
  bool is_virtual = false;
  bool lists = true; ///< STATUS says that there are capabilities
  std::uint16_t vendor = 0, device = 0;
  unsigned irq = 0;
  std::array<bar, 6> bars;
  bar rom;
  std::vector<capability> capabilities;        ///< in the order of the list
  std::vector<std::uint16_t> extended_headers; ///< likewise; empty: there are none
  bool extended_is_zero = false;               ///< throughout
  std::vector<std::uint8_t> config;            ///< the registers, as they are when the card is held

  [[nodiscard]] std::size_t size() const { return config.size(); }
  /// The one of its kind that can be used.
  [[nodiscard]] const capability* find(kind what) const;
  /// A bus on which masters take turns.
  [[nodiscard]] bool conventional() const { return !is_virtual && find(kind::express) == nullptr; }
  [[nodiscard]] std::uint32_t number(std::size_t offset, unsigned width) const;
};

/// The card that the bytes describe: header, BARs, ROM and capabilities of every kind, in any order and of any worth.
[[nodiscard]] blueprint draw(fuzz::input& in);

/// The same as the host describes it.
[[nodiscard]] pci::function describe(const blueprint& plan);

} // namespace model
