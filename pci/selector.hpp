// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pci/address.hpp"
#include "pci/function.hpp"

namespace pci {

/// What tells a function from others before anything of it is touched: where it is and what the host says it is.
struct identity {
  sbdf address;
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint32_t class_code = 0; ///< 24 bits: base class, subclass, programming interface

  friend bool operator==(const identity&, const identity&) = default;
};
[[nodiscard]] identity identity_of(const function& what);

/// A bridge by its class (06, host and ISA bridges included): dom0 needs what is behind it.
[[nodiscard]] bool is_bridge(const identity& what);

/// "8086:10d3", or "8086:*" for all that a vendor has made.
struct id_pattern {
  std::uint16_t vendor = 0;
  std::optional<std::uint16_t> device; ///< empty: any

  [[nodiscard]] bool matches(const identity& what) const;
  friend bool operator==(const id_pattern&, const id_pattern&) = default;
};
/// The failure (EINVAL) quotes the text and says what is expected at which column.
[[nodiscard]] result<id_pattern> parse_ids(std::string_view text);
[[nodiscard]] std::string to_string(const id_pattern& what);

/// A class code of which only some digits count.
struct class_pattern {
  std::uint32_t code = 0; ///< 24 bits; 0 where the mask is
  std::uint32_t mask = 0; ///< whole hexadecimal digits

  [[nodiscard]] bool matches(const identity& what) const;
  friend bool operator==(const class_pattern&, const class_pattern&) = default;
};
/// Reads a base class ("02"), with a subclass ("0200"), with a programming interface ("010802"); each digit may be "*".
[[nodiscard]] result<class_pattern> parse_class(std::string_view text);
[[nodiscard]] std::string to_string(const class_pattern& what);

[[nodiscard]] std::string to_string(const sbdf_pattern& what);

/// Which functions are meant: those that match everything that is set. One that has nothing set matches nothing.
struct selector {
  /// How exactly a selector names its functions; of two that match, the greater one counts. First where: a whole
  /// address, a slot, a bus; then vendor and device, a vendor; then as many digits of the class as count.
  struct rank {
    unsigned address = 0;
    unsigned ids = 0;
    unsigned class_digits = 0;
    friend auto operator<=>(const rank&, const rank&) = default;
  };

  selector() = default;
  /// One function.
  selector(const sbdf& one); // NOLINT(google-explicit-constructor): an address is the plainest selector
  selector(const sbdf_pattern& where) : address(where) {} // NOLINT(google-explicit-constructor): so is a pattern

  std::optional<sbdf_pattern> address;
  std::optional<id_pattern> ids;
  std::optional<class_pattern> classes;

  [[nodiscard]] bool empty() const { return !address && !ids && !classes; }
  [[nodiscard]] bool matches(const identity& what) const;
  [[nodiscard]] rank exactness() const;
  /// The function that a whole address names; empty for all others.
  [[nodiscard]] std::optional<sbdf> whole_address() const;
  /// The only thing that is set is a whole address.
  [[nodiscard]] bool is_plain() const { return whole_address() && !ids && !classes; }
  friend bool operator==(const selector&, const selector&) = default;
};
/// "0000:03:00.0", "0000:03:*.* of class 02": for messages.
[[nodiscard]] std::string to_string(const selector& what);

/// A card's serial number: its Device Serial Number capability. Source: PCI Express Base 5.0 section 7.9.3.
[[nodiscard]] std::optional<std::uint64_t> serial_number(const function& what);
/// "52-54-00-ff-ff-12-34-56", as lspci shows it.
[[nodiscard]] std::string serial_to_string(std::uint64_t serial);
[[nodiscard]] result<std::uint64_t> parse_serial(std::string_view text);

/// Vendor and device of the board: "8086:0000", as lspci shows it; of header type 0 alone.
struct subsystem_ids {
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  friend bool operator==(const subsystem_ids&, const subsystem_ids&) = default;
};
[[nodiscard]] std::optional<subsystem_ids> subsystem(const function& what);

/// What a function must be, besides where it is: whether the card in the slot is still the one that was meant.
struct pin {
  std::optional<id_pattern> ids; ///< with a device
  std::optional<subsystem_ids> board;
  std::optional<std::uint64_t> serial;

  [[nodiscard]] bool empty() const { return !ids && !board && !serial; }
  friend bool operator==(const pin&, const pin&) = default;
};
/// What is another than pinned: one line; empty when all is as it was.
[[nodiscard]] std::string mismatch(const pin& wanted, const function& found);

} // namespace pci
