// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/config_space/restore.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include <fmt/format.h>

#include "pci/config_space/answered.hpp"
#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/field.hpp"
#include "pci/config_space/power.hpp"
#include "pci/config_space/register_names.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/saved_registers.hpp"

namespace pci {
namespace {

constexpr std::uint16_t extended_sriov = 0x0010; // the id of that extended capability

/// `what` written back where it differs; bits that belong to nobody keep their value.
result<void> restore_register(const function& function, config_port& port, const saved_register& what) {
  if (what.restored == 0)
    return {};
  const auto found = read_answered(port, what.offset, what.width);
  if (!found)
    return tl::unexpected(found.error());
  const std::uint32_t wanted = function.copy(what.offset, what.width);
  if (((*found ^ wanted) & what.restored) == 0)
    return {};
  return port.write(what.offset, what.width,
                    ((*found & ~what.restored) | (wanted & what.restored)) & ~what.zero & all_bits(what.width));
}

/// Which bits of each byte are somebody's, and which of these are not compared or essential.
struct byte_masks {
  std::array<std::uint8_t, reg::space_end> named{}, changing{}, essential{};

  explicit byte_masks(std::span<const saved_register> all) {
    for (const auto& each : all)
      for (unsigned i = 0; i < each.width; ++i) {
        const auto at = each.offset + i;
        named.at(at) = 0xff;
        changing.at(at) = static_cast<std::uint8_t>(changing.at(at) | each.changing >> (8 * i));
        essential.at(at) = static_cast<std::uint8_t>(essential.at(at) | each.essential >> (8 * i));
      }
  }
  [[nodiscard]] static std::uint32_t dword(const std::array<std::uint8_t, reg::space_end>& of, unsigned at) {
    return of.at(at) | std::uint32_t{of.at(at + 1)} << 8U | std::uint32_t{of.at(at + 2)} << 16U |
           std::uint32_t{of.at(at + 3)} << 24U;
  }
};

/// What no register of the table covers, where it differs, in the widest accesses that touch nothing else.
result<void> restore_rest(const function& function, config_port& port, const byte_masks& masks) {
  for (unsigned at = reg::first_capability; at + 4 <= function.config_size(); at += 4) {
    const std::uint32_t free = ~byte_masks::dword(masks.named, at);
    if (free == 0)
      continue;
    const auto found = read_answered(port, static_cast<std::uint16_t>(at), 4);
    if (!found)
      return tl::unexpected(found.error());
    const std::uint32_t differs = (*found ^ function.copy(at, 4)) & free;
    for (unsigned byte = 0; byte < 4 && differs != 0;) {
      unsigned width = byte == 0 && free == all_bits(4)                            ? 4
                       : byte % 2 == 0 && (free >> (8 * byte) & 0xffffU) == 0xffff ? 2
                                                                                   : 1;
      if ((differs >> (8 * byte) & all_bits(width)) != 0)
        if (auto written = port.write(static_cast<std::uint16_t>(at + byte), width, function.copy(at + byte, width));
            !written)
          return written;
      byte += width;
    }
  }
  return {};
}

result<void> check_bits_clear(config_port& port, std::string_view name, std::uint16_t offset, std::uint16_t bits) {
  const auto found = read_answered(port, offset, 2);
  if (!found)
    return fail(found.error().error, fmt::format("{}: {}", name, found.error().context));
  if (*found == 0xffff)
    return fail(ENODEV, fmt::format("{} reads ffff: the function is silent", name));
  return (*found & bits) == 0 ? result<void>{} : fail(EIO, fmt::format("{} still reads {:04x}", name, *found));
}

/// Goes on after a failure and keeps the first.
void keep_first(result<void>& all, const result<void>& one) {
  if (all && !one)
    all = one;
}

result<void> clear_hardware_bits(config_port& port, std::uint16_t offset, std::uint16_t bits) {
  return update_control(port, offset, bits, 0).map([](std::uint32_t) {});
}

std::uint16_t control_of(std::uint8_t capability) {
  return static_cast<std::uint16_t>(capability + reg::message_control);
}

} // namespace

result<bool> wake(const function& function, config_port& port) {
  const auto pm = find_capability(function, reg::cap_pm);
  if (!pm || *pm + reg::pmcsr + 2U > reg::extended)
    return false;
  return update_control(port, static_cast<std::uint16_t>(*pm + reg::pmcsr), reg::pmcsr_state | reg::pmcsr_pme_status, 0)
      .map([](std::uint32_t before) { return (before & reg::pmcsr_state) == reg::pmcsr_state; });
}

bool may_sleep(const function& function) {
  const auto pm = find_capability(function, reg::cap_pm);
  const bool has_states = pm && *pm + reg::pmcsr + 2U <= reg::extended;
  return has_states && function.header_layout() == 0 && !function.is_virtual() &&
         std::ranges::none_of(list_extended_capabilities(function),
                              [&](std::uint16_t at) { return function.copy(at, 2) == extended_sriov; });
}

result<void> put_to_sleep(const function& function, config_port& port) {
  const auto at = static_cast<std::uint16_t>(find_capability(function, reg::cap_pm).value_or(0) + reg::pmcsr);
  const auto before = read_answered(port, at, 2);
  if (!before)
    return tl::unexpected(before.error());
  return port.write(at, 2, power::asleep(static_cast<std::uint16_t>(*before)));
}

bool sleeps(const function& function, config_port& port) {
  if (!may_sleep(function))
    return false;
  const auto at = static_cast<std::uint16_t>(find_capability(function, reg::cap_pm).value_or(0) + reg::pmcsr);
  const auto now = port.read(at, 2);
  return now && *now != 0xffff && (*now & reg::pmcsr_state) == reg::pmcsr_state;
}

result<void> restore(const function& function, config_port& port, bool freely) {
  result<void> all;
  const auto registers = saved_registers(function, freely);
  if (freely) // before COMMAND, as the rest
    keep_first(all, restore_rest(function, port, byte_masks{registers}));
  for (const auto& each : registers)
    keep_first(all, restore_register(function, port, each));
  return all;
}

result<std::vector<difference>> compare(const function& function, config_port& port, std::span<const std::byte> now) {
  const auto registers = saved_registers(function, false);
  const byte_masks masks{registers};
  pci::function seen;
  seen.config.assign(now.begin(), now.end());
  std::vector<difference> all;
  for (unsigned at = 0; at + 4 <= function.config_size(); at += 4) {
    const std::uint32_t compared = ~byte_masks::dword(masks.changing, at);
    if (compared == 0)
      continue;
    const std::uint32_t wanted = function.copy(at, 4);
    auto found =
        seen.config_size() == function.config_size() ? seen.copy(at, 4) : port.read(static_cast<std::uint16_t>(at), 4);
    if (found && *found != wanted) // perhaps for want of an answer
      found = read_answered(port, static_cast<std::uint16_t>(at), 4);
    if (!found)
      return tl::unexpected(found.error());
    const std::uint32_t differs = (*found ^ wanted) & compared;
    if (differs == 0)
      continue;
    std::uint32_t left = differs;
    const auto note = [&](unsigned offset, unsigned width) {
      const std::uint32_t bits = seen_from(all_bits(width), offset, at);
      if ((left & bits) == 0)
        return;
      left &= ~bits;
      all.push_back({static_cast<std::uint16_t>(offset), static_cast<std::uint8_t>(width), function.copy(offset, width),
                     *found >> (8 * (offset - at)) & all_bits(width),
                     (differs & bits & byte_masks::dword(masks.essential, at)) != 0});
    };
    for (const auto& each : registers)
      if (each.offset >= at && each.offset < at + 4)
        note(each.offset, each.width);
    note(at, 4);
  }
  return all;
}

std::string describe(const function& function, std::span<const difference> all) {
  constexpr std::size_t most = 4;
  std::string text;
  for (const auto& each : all.first(std::min(most, all.size()))) {
    const auto name = register_name(function, each.offset);
    text += fmt::format("{}{} reads {:0{}x}, was {:0{}x}", text.empty() ? "" : "; ",
                        name.empty() ? fmt::format("{:x}", each.offset) : name, each.found, 2 * each.width, each.wanted,
                        2 * each.width);
  }
  if (all.size() > most)
    text += fmt::format("; and {} more", all.size() - most);
  return text;
}

result<bool> was_reset(const function& function, config_port& port) {
  const auto status = port.read(reg::status, 2);
  const auto command = port.read(reg::command, 2);
  if (!status || !command)
    return tl::unexpected(!status ? status.error() : command.error());
  constexpr std::uint32_t decode = reg::command_io | reg::command_memory;
  if (*status == 0xffff || function.is_virtual())
    return *status == 0xffff;
  if ((function.copy(reg::command, 2) & decode & ~*command) != 0)
    return true;
  const unsigned bars = function.header_layout() == 0 ? 6 : 2;
  for (unsigned index = 0; index < bars; ++index) {
    const auto offset = static_cast<std::uint16_t>(reg::bar0 + 4 * index);
    const auto found = port.read(offset, 4);
    if (!found || *found != function.copy(offset, 4))
      return found.map([](std::uint32_t) { return true; });
  }
  return false;
}

result<void> check_quiet(const function& function, config_port& port) {
  result<void> quiet;
  if (function.header_layout() == 0)
    quiet = check_bits_clear(port, "COMMAND", reg::command, reg::command_master);
  if (const auto msi = find_msi(function); quiet && msi)
    quiet = check_bits_clear(port, "MSI control", control_of(msi->offset), reg::msi_enable);
  if (const auto msix = find_capability(function, reg::cap_msix); quiet && msix)
    quiet = check_bits_clear(port, "MSI-X control", control_of(*msix), reg::msix_enable | reg::msix_mask_all);
  return quiet;
}

result<void> turn_messages_off(const function& function, config_port& port) {
  result<void> all;
  if (const auto msi = find_msi(function))
    keep_first(all, clear_hardware_bits(port, control_of(msi->offset), reg::msi_enable));
  if (const auto msix = find_capability(function, reg::cap_msix))
    keep_first(all, clear_hardware_bits(port, control_of(*msix), reg::msix_enable | reg::msix_mask_all));
  return all;
}

} // namespace pci
