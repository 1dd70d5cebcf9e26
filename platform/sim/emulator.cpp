// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/emulator.hpp"

#include <cerrno>

#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/registers.hpp"

namespace platform::sim {

namespace reg = pci::reg;

pci::result<void> emulator::write(const pci::sbdf& address, const pci::sbdf& seen, std::uint16_t offset,
                                  std::uint16_t set) {
  if (stub_ != nullptr) {
    const auto before = stub_->read(seen, offset, 2);
    const auto written = stub_->write(seen, offset, 2, before.value | set);
    return written.good() ? pci::result<void>{} : pci::fail(EIO, "the stub domain may not write this");
  }
  const auto port = host_->pci().open_config(address);
  if (!port)
    return tl::unexpected(port.error());
  const auto before = (*port)->read(offset, 2);
  return before ? (*port)->write(offset, 2, *before | set) : tl::unexpected(before.error());
}

pci::result<void> emulator::map(const pci::sbdf& address, unsigned vectors) {
  auto& xen = host_->xen();
  if (vectors == 0) {
    const auto pirq = xen.map_msi(guest_, address);
    return pirq ? pci::result<void>{} : tl::unexpected(pirq.error());
  }
  const auto function = host_->pci().describe(address);
  if (!function)
    return tl::unexpected(function.error());
  const auto at = pci::find_capability(*function, reg::cap_msix);
  const auto table = function->copy(static_cast<std::uint16_t>(at.value_or(0) + reg::msix_table), 4);
  for (unsigned entry = 0; entry < vectors; ++entry)
    if (const auto pirq = xen.map_msix(guest_, address, static_cast<std::uint16_t>(entry),
                                       function->resources[table & reg::msix_bir].start);
        !pirq)
      return tl::unexpected(pirq.error());
  return {};
}

pci::result<void> emulator::start(const pci::sbdf& address, unsigned vectors, const pci::sbdf& seen) {
  if (auto on = write(address, seen, reg::command, reg::command_memory | reg::command_master); !on)
    return on;
  if (auto mapped = map(address, vectors); !mapped)
    return mapped;
  const auto function = host_->pci().describe(address);
  const auto at =
      function ? pci::find_capability(*function, vectors == 0 ? reg::cap_msi : reg::cap_msix) : std::nullopt;
  if (!at)
    return pci::fail(ENODEV, "no such capability");
  return write(address, seen, static_cast<std::uint16_t>(*at + reg::message_control),
               vectors == 0 ? reg::msi_enable : reg::msix_enable);
}

void emulator::let_go(const pci::sbdf& address) {
  for (const auto pirq : host_->xen().pirqs_of(guest_, address))
    (void)host_->xen().unmap_pirq(guest_, pirq);
}

} // namespace platform::sim
