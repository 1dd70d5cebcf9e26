// SPDX-License-Identifier: GPL-2.0-or-later
// What a reference copy is made of.
#include "pci/config_space/base_registers.hpp"
#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/restore.hpp"

namespace pci {
namespace {

void set_copy(function& function, std::size_t offset, unsigned width, std::uint32_t value) {
  for (unsigned i = 0; i < width; ++i)
    function.config.at(offset + i) = static_cast<std::byte>(value >> (8 * i) & 0xffU);
}

void clear_copy_bits(function& function, std::size_t offset, std::uint16_t bits) {
  if (offset + 2 <= function.config_size())
    set_copy(function, offset, 2, function.copy(offset, 2) & ~std::uint32_t{bits});
}

/// A card whose link was lost, or that its firmware has reset, has forgotten where the host wants it.
void take_host_resources(function& function) {
  const auto wanted = base_registers(function);
  const unsigned bars = function.header_layout() == 0 ? 6 : 2;
  for (unsigned index = 0; index < bars; ++index) {
    const auto offset = reg::bar0 + 4U * index;
    const auto& bar = wanted.at(index);
    const auto& upper_of = function.resources.at(index > 0 && bar.type_bits == 0 ? index - 1 : index);
    if (!is_fixed(upper_of) && bar.size_mask != 0 && ((function.copy(offset, 4) ^ bar.value) & ~bar.type_bits) != 0)
      set_copy(function, offset, 4, bar.value);
  }
  set_copy(function, reg::command, 2, function.copy(reg::command, 2) | decode_bits(function));
}

} // namespace

void make_reference(function& function) {
  const bool bridge = function.header_layout() == 1;
  clear_copy_bits(function, reg::command,
                  bridge ? reg::command_intx_disable : reg::command_master | reg::command_intx_disable);
  if (function.is_virtual()) {
    // It has no line, whatever its register says: some hardware copies the physical function's (SR-IOV 1.1, 3.4.1.18).
    set_copy(function, reg::interrupt_pin, 1, 0);
  } else if (function.header_layout() < 2) {
    take_host_resources(function);
  }
  if (const auto pm = find_capability(function, reg::cap_pm))
    clear_copy_bits(function, *pm + reg::pmcsr, reg::pmcsr_state | reg::pmcsr_pme_enable);
  if (const auto msi = find_msi(function))
    clear_copy_bits(function, msi->offset + reg::message_control, reg::msi_enable);
  if (const auto msix = find_capability(function, reg::cap_msix))
    clear_copy_bits(function, *msix + reg::message_control, reg::msix_enable | reg::msix_mask_all);
}

} // namespace pci
