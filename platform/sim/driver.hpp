// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include "platform/sim/frontend.hpp"

namespace platform::sim {

/// A guest's driver for one function, as far as a backend sees it: decoding and bus mastering on, interrupts of the
/// best kind, all off again.
class driver {
public:
  enum class interrupt_kind : std::uint8_t { none, intx, msi, msix };

  /// `function`: a virtual address that the frontend's scan has found.
  driver(frontend& front, const pci::sbdf& function) : front_(&front), function_(function) {}

  /// Memory and I/O decoding and mastering on, then at most `vectors` MSI-X vectors, or MSI, or the line. ENODEV: the
  /// scan did not find it; EIO: an operation failed.
  [[nodiscard]] pci::result<void> probe(std::uint16_t vectors = 4);
  /// Linux's NVMe driver: one vector for the administration queue, gives it back (with disable_msi, whatever it was),
  /// asks for two.
  [[nodiscard]] pci::result<void> probe_as_nvme();
  /// Interrupts off, mastering off.
  void remove();

  [[nodiscard]] interrupt_kind kind() const { return kind_; }
  [[nodiscard]] const std::vector<std::uint16_t>& pirqs() const { return pirqs_; }
  /// Interrupts that came on all of its pirqs.
  [[nodiscard]] std::uint64_t interrupts() const;

private:
  [[nodiscard]] pci::result<void> enable();
  [[nodiscard]] pci::result<void> take_msix(std::uint16_t vectors);
  [[nodiscard]] pci::result<void> take_line();

  frontend* front_;
  pci::sbdf function_;
  interrupt_kind kind_ = interrupt_kind::none;
  std::vector<std::uint16_t> pirqs_;
};

} // namespace platform::sim
