#include "pci/config_space/restore.hpp"

#include <array>
#include <cerrno>
#include <string_view>

#include <fmt/format.h>

#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/registers.hpp"

namespace pci {
namespace {

struct saved_register {
  std::uint16_t offset; ///< absolute, or relative to its capability
  unsigned width;
};

// PCI 3.0 section 6.1: what software sets up in a type 0 header. Of a bridge only the common part is ours to restore:
// the kernel owns its windows.
constexpr std::array<saved_register, 3> saved_of_any = {{
    {reg::cache_line_size, 1},
    {reg::latency_timer, 1},
    {reg::interrupt_line, 1},
}};
constexpr std::array<saved_register, 7> saved_of_type0 = {{
    {reg::bar0, 4},
    {reg::bar0 + 4, 4},
    {reg::bar0 + 8, 4},
    {reg::bar0 + 12, 4},
    {reg::bar0 + 16, 4},
    {reg::bar0 + 20, 4},
    {reg::rom_type0, 4},
}};
// PCI Express Base 5.0 section 7.5.3: Device Control, Link Control, Device Control 2. The last is there from version 2
// of the capability on; in version 1 the next capability may stand in its place.
constexpr std::array<saved_register, 3> express_controls = {{{0x08, 2}, {0x10, 2}, {0x28, 2}}};
constexpr std::uint16_t express_version = 0x0f, end_of_express_1 = 0x14;

void set_copy_word(function& function, std::size_t offset, std::uint16_t value) {
  function.config.at(offset) = static_cast<std::byte>(value & 0xffU);
  function.config.at(offset + 1) = static_cast<std::byte>(value >> 8U);
}

void clear_copy_bits(function& function, std::size_t offset, std::uint16_t bits) {
  set_copy_word(function, offset, static_cast<std::uint16_t>(function.copy(offset, 2) & ~static_cast<unsigned>(bits)));
}

result<void> restore_register(const function& function, config_port& port, std::uint16_t offset, unsigned width) {
  const auto wanted = function.copy(offset, width);
  const auto found = port.read(offset, width);
  if (!found) {
    return tl::unexpected(found.error());
  }
  return *found == wanted ? result<void>{} : port.write(offset, width, wanted);
}

result<void> clear_hardware_bits(config_port& port, std::uint16_t offset, std::uint16_t bits) {
  const auto found = port.read(offset, 2);
  if (!found) {
    return tl::unexpected(found.error());
  }
  const auto wanted = *found & ~static_cast<std::uint32_t>(bits);
  return *found == wanted ? result<void>{} : port.write(offset, 2, wanted);
}

result<void> check_bits_clear(config_port& port, std::string_view name, std::uint16_t offset, std::uint16_t bits) {
  const auto found = port.read(offset, 2);
  if (!found) {
    return tl::unexpected(found.error());
  }
  if (*found == 0xffff) {
    return fail(ENODEV, fmt::format("{} reads ffff: the function does not answer", name));
  }
  return (*found & bits) == 0 ? result<void>{} : fail(EIO, fmt::format("{} still reads {:04x}", name, *found));
}

/// Goes on after a failure and keeps the first.
void keep_first(result<void>& all, const result<void>& one) {
  if (all && !one) {
    all = one;
  }
}

std::uint16_t control_of(std::uint8_t capability) {
  return static_cast<std::uint16_t>(capability + reg::message_control);
}

} // namespace

void make_reference(function& function) {
  clear_copy_bits(function, reg::command, reg::command_master | reg::command_intx_disable);
  if (function.is_virtual()) {
    // It has no line, whatever its register says: some hardware copies the physical function's (SR-IOV 1.1, 3.4.1.18).
    function.config.at(reg::interrupt_pin) = std::byte{0};
  }
  if (const auto msi = find_msi(function)) {
    clear_copy_bits(function, control_of(msi->offset), reg::msi_enable);
  }
  if (const auto msix = find_capability(function, reg::cap_msix)) {
    clear_copy_bits(function, control_of(*msix), reg::msix_enable | reg::msix_mask_all);
  }
}

result<bool> wake(const function& function, config_port& port) {
  const auto pm = find_capability(function, reg::cap_pm);
  if (!pm) {
    return false;
  }
  const auto control = static_cast<std::uint16_t>(*pm + reg::pmcsr);
  const auto found = port.read(control, 2);
  if (!found) {
    return tl::unexpected(found.error());
  }
  return clear_hardware_bits(port, control, reg::pmcsr_state).map([&] {
    return (*found & reg::pmcsr_state) == reg::pmcsr_state;
  });
}

result<void> restore(const function& function, config_port& port) {
  result<void> all;
  if (const auto pm = find_capability(function, reg::cap_pm)) {
    keep_first(all, clear_hardware_bits(port, static_cast<std::uint16_t>(*pm + reg::pmcsr),
                                        reg::pmcsr_state | reg::pmcsr_pme_enable));
  }
  if (function.header_layout() == 0 && !function.is_virtual()) {
    for (const auto& saved : saved_of_type0) {
      keep_first(all, restore_register(function, port, saved.offset, saved.width));
    }
  }
  for (const auto& saved : saved_of_any) {
    keep_first(all, restore_register(function, port, saved.offset, saved.width));
  }
  if (const auto express = find_capability(function, reg::cap_express)) {
    const bool is_first = (function.copy(*express + 2U, 2) & express_version) < 2;
    for (const auto& saved : express_controls) {
      const auto offset = static_cast<std::uint16_t>(*express + saved.offset);
      if (offset + saved.width <= reg::extended && !(is_first && saved.offset >= end_of_express_1)) {
        keep_first(all, restore_register(function, port, offset, saved.width));
      }
    }
  }
  keep_first(all, turn_messages_off(function, port));
  keep_first(all, restore_register(function, port, reg::command, 2));
  return all;
}

result<bool> was_reset(const function& function, config_port& port) {
  const auto status = port.read(reg::status, 2);
  const auto command = port.read(reg::command, 2);
  if (!status || !command) {
    return tl::unexpected(!status ? status.error() : command.error());
  }
  constexpr std::uint32_t decode = reg::command_io | reg::command_memory;
  if (*status == 0xffff || function.is_virtual()) {
    return *status == 0xffff;
  }
  if ((function.copy(reg::command, 2) & decode & ~*command) != 0) {
    return true;
  }
  const unsigned bars = function.header_layout() == 0 ? 6 : 2;
  for (unsigned index = 0; index < bars; ++index) {
    const auto offset = static_cast<std::uint16_t>(reg::bar0 + 4 * index);
    const auto found = port.read(offset, 4);
    if (!found || *found != function.copy(offset, 4)) {
      return found.map([](std::uint32_t) { return true; });
    }
  }
  return false;
}

result<void> check_quiet(const function& function, config_port& port) {
  auto quiet = check_bits_clear(port, "COMMAND", reg::command, reg::command_master);
  if (const auto msi = find_msi(function); quiet && msi) {
    quiet = check_bits_clear(port, "MSI control", control_of(msi->offset), reg::msi_enable);
  }
  if (const auto msix = find_capability(function, reg::cap_msix); quiet && msix) {
    quiet = check_bits_clear(port, "MSI-X control", control_of(*msix), reg::msix_enable | reg::msix_mask_all);
  }
  return quiet;
}

result<void> turn_messages_off(const function& function, config_port& port) {
  result<void> all;
  if (const auto msi = find_msi(function)) {
    keep_first(all, clear_hardware_bits(port, control_of(msi->offset), reg::msi_enable));
  }
  if (const auto msix = find_capability(function, reg::cap_msix)) {
    keep_first(all, clear_hardware_bits(port, control_of(*msix), reg::msix_enable | reg::msix_mask_all));
  }
  return all;
}

} // namespace pci
