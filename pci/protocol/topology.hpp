// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pci/address.hpp"

namespace pci {

/// A function's place on a guest's virtual buses: what is asked of the topology for each guest (spec 7.6).
enum class topology_mode : std::uint8_t {
  vpci,        ///< one root, 0000:00, 32 slots
  passthrough, ///< the guest sees the host's addresses
};

/// The numbers of functions in a slot of the virtual bus.
enum class function_numbers : std::uint8_t {
  from_zero, ///< the host's, but each slot has a function 0: not every guest finds a slot's others without
  kept,      ///< the host's, as with the kernel's backend
};

/// What decides where a function is placed, besides its address.
struct placing {
  bool is_virtual_function = false;
  std::vector<sbdf> bridges = {};        ///< above it on the host
  std::optional<std::uint8_t> wish = {}; ///< vpci: the virtual slot and function that the toolstack asks for (vdevfn)
};

/// The virtual PCI topology of one guest.
class topology {
public:
  /// A bus on which the guest starts a scan.
  struct root {
    std::uint16_t segment = 0;
    std::uint8_t bus = 0;
    friend auto operator<=>(const root&, const root&) = default;
  };

  explicit topology(topology_mode mode, function_numbers numbers = function_numbers::from_zero)
      : mode_(mode), numbers_(numbers) {}

  /// Places a function and returns its virtual address. Others stay where they are, and so the newcomer may not get its
  /// own number. A wish for a place that is taken is no wish. Fails with ENOMEM ("No more space on root virtual PCI
  /// bus") when all slots are taken and EEXIST when the function has its place already.
  [[nodiscard]] result<sbdf> add(const sbdf& host, const placing& how = {});
  /// For a guest that has yet to look: the functions of each slot get the numbers that they would have if all had come
  /// together. With `from_zero` that is their own where the card's function 0 is among them; otherwise the first that
  /// came is 0.
  void settle();
  /// Places a function where it already was: for a daemon that adopts a running guest. Fails with EEXIST when taken.
  [[nodiscard]] result<void> adopt(const sbdf& host, const sbdf& virtual_address, bool is_virtual_function);
  /// Takes the function away. Returns false when it was not there.
  bool remove(const sbdf& host);

  /// Looks an address of the shared page up: any 32-bit numbers, as the guest wrote them.
  [[nodiscard]] std::optional<sbdf> find(std::uint32_t domain, std::uint32_t bus, std::uint32_t devfn) const;
  [[nodiscard]] std::optional<sbdf> virtual_address(const sbdf& host) const;
  /// The roots to publish for what is placed now: 0000:00 with vpci; with passthrough one for each (segment, bus), but
  /// for those behind a bridge that is placed too: the guest finds them there.
  [[nodiscard]] std::vector<root> roots() const;
  [[nodiscard]] std::size_t size() const { return places_.size(); }

private:
  struct place {
    sbdf host;
    sbdf seen; ///< the virtual address
    bool is_virtual_function = false;
    bool fixed = false; ///< where somebody wanted it
    std::vector<sbdf> bridges = {};
  };
  [[nodiscard]] std::optional<sbdf> vpci_place(const sbdf& host, const placing& how) const;
  [[nodiscard]] std::optional<std::uint8_t> number_in(std::uint8_t slot, const sbdf& host) const;
  [[nodiscard]] bool has_room_for(const sbdf& host, std::uint8_t devfn) const;
  [[nodiscard]] bool is_behind_placed(const place& what) const;
  result<void> put(place what);

  topology_mode mode_;
  function_numbers numbers_;
  std::vector<place> places_;
};

} // namespace pci
