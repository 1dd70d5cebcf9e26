// SPDX-License-Identifier: GPL-2.0-or-later
// What Linux makes of a physical function's SR-IOV capability (drivers/pci/iov.c).
#include <algorithm>

#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/registers.hpp"
#include "platform/sim/host.hpp"

namespace platform::sim {
namespace {

// PCI Express Base 5.0, section 9.3.3.
constexpr std::uint16_t sriov_capability = 0x0010;
constexpr unsigned total_vfs = 0x0e, first_offset = 0x14, stride = 0x16, vf_device = 0x1a, vf_bar0 = 0x24;
constexpr std::uint64_t page = 0x1000;

/// Where the capability stands in the function's space; 0: it has none.
unsigned find_capability(const pci::function& physical) {
  for (const unsigned at : pci::list_extended_capabilities(physical))
    if (physical.copy(at, 2) == sriov_capability)
      return at;
  return 0;
}

pci::sbdf address_of(const pci::function& physical, unsigned at, unsigned index) {
  const auto routing = static_cast<unsigned>(physical.address.bus << 8U | physical.address.devfn) +
                       physical.copy(at + first_offset, 2) + index * physical.copy(at + stride, 2);
  return {physical.address.segment, static_cast<std::uint8_t>(routing >> 8), static_cast<std::uint8_t>(routing)};
}

device_model model_of(const pci::function& physical, unsigned at, unsigned index) {
  auto model = *builtin_model("nvme-vf");
  model.address = address_of(physical, at, index);
  model.vendor = physical.vendor;
  model.device = static_cast<std::uint16_t>(physical.copy(at + vf_device, 2));
  model.physical_function = physical.address;
  model.irq = 0;
  // All virtual functions' BARs lie one after the other from where the capability's BAR points.
  auto& memory = model.resources.front();
  const auto size = std::max(memory.size(), page);
  memory.start = (physical.copy(at + vf_bar0, 4) & ~std::uint64_t{0xf}) + index * size;
  memory.end = memory.start + size - 1;
  return model;
}

} // namespace

bool host::set_virtual_functions(const pci::sbdf& physical, unsigned count) {
  const auto function = pci_.describe(physical);
  const auto at = function ? find_capability(*function) : 0;
  if (at == 0 || count > function->copy(at + total_vfs, 2))
    return false;
  for (unsigned index = 0; index < function->copy(at + total_vfs, 2); ++index) {
    const auto address = address_of(*function, at, index);
    const bool there = pci_.describe(address).has_value();
    if (index < count && !there)
      add_function(model_of(*function, at, index));
    else if (index >= count && there)
      remove_function(address);
  }
  return true;
}

void host::unbind_driver(const pci::sbdf& address, bool removes_virtual_functions) {
  if (removes_virtual_functions)
    (void)set_virtual_functions(address, 0);
  depart({address, false});
}

} // namespace platform::sim
