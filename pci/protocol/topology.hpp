#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pci/address.hpp"

namespace pci {

/// A function's place on a guest's virtual buses: what is asked of the topology for each guest (spec 7.6).
enum class topology_mode : std::uint8_t {
  vpci,        ///< one root, 0000:00, 32 slots; function numbers kept
  passthrough, ///< the guest sees the host's addresses
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

  explicit topology(topology_mode mode) : mode_(mode) {}

  /// Places a function and returns its virtual address. Fails with ENOMEM ("No more space on root virtual PCI bus")
  /// when all slots are taken and EEXIST when the function has its place already.
  [[nodiscard]] result<sbdf> add(const sbdf& host, bool is_virtual_function);
  /// Places a function where it already was: for a daemon that adopts a running guest. Fails with EEXIST when taken.
  [[nodiscard]] result<void> adopt(const sbdf& host, const sbdf& virtual_address, bool is_virtual_function);
  /// Takes the function away. Returns false when it was not there.
  bool remove(const sbdf& host);

  /// Looks an address of the shared page up: any 32-bit numbers, as the guest wrote them.
  [[nodiscard]] std::optional<sbdf> find(std::uint32_t domain, std::uint32_t bus, std::uint32_t devfn) const;
  [[nodiscard]] std::optional<sbdf> virtual_address(const sbdf& host) const;
  /// The roots to publish for what is placed now: 0000:00 with vpci, one for each (segment, bus) with passthrough.
  [[nodiscard]] std::vector<root> roots() const;
  [[nodiscard]] std::size_t size() const { return places_.size(); }

private:
  struct place {
    sbdf host;
    sbdf seen; ///< the virtual address
    bool is_virtual_function;
  };
  [[nodiscard]] std::optional<sbdf> vpci_place(const sbdf& host, bool is_virtual_function) const;

  topology_mode mode_;
  std::vector<place> places_;
};

} // namespace pci
