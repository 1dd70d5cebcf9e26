// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

#include "platform/sim/frontend.hpp"
#include "platform/sim/host.hpp"

namespace platform::sim {

/// An HVM guest's device model (QEMU), as far as a host sees it: it maps the vectors of a function that the guest has
/// in the guest's name, and writes the function's registers, from dom0 by sysfs and from a stub domain by its frontend.
class emulator {
public:
  /// `stub`: the frontend of the stub domain that it runs in; null: in dom0.
  emulator(host& host, domain_id guest, frontend* stub = nullptr) : host_(&host), guest_(guest), stub_(stub) {}

  /// The guest's driver starts: decode and mastering on, so many vectors of MSI-X (with 0: MSI). `address`: on the
  /// host; `seen`: where the stub domain sees it.
  [[nodiscard]] pci::result<void> start(const pci::sbdf& address, unsigned vectors, const pci::sbdf& seen = {});
  /// device_del: the vectors are unmapped, and the function is not touched any more.
  void let_go(const pci::sbdf& address);

private:
  [[nodiscard]] pci::result<void> write(const pci::sbdf& address, const pci::sbdf& seen, std::uint16_t offset,
                                        std::uint16_t set);
  [[nodiscard]] pci::result<void> map(const pci::sbdf& address, unsigned vectors);

  host* host_;
  domain_id guest_;
  frontend* stub_;
};

} // namespace platform::sim
