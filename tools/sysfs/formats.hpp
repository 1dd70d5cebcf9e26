// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <span>
#include <string>

#include "tools/sysfs/backend.hpp"

/// The texts of the kernel driver's files, byte for byte (Linux, drivers/xen/xen-pciback/pci_stub.c), except that
/// nothing is cut off after a page.
namespace sysfs_program {

/// `slots`: "0000:03:00.0\n" each.
[[nodiscard]] std::string slots_text(std::span<const pci::sbdf> slots);
/// `permissive` and `allow_interrupt_control`: those for which it is on.
[[nodiscard]] std::string permissive_text(std::span<const function> functions);
[[nodiscard]] std::string interrupt_control_text(std::span<const function> functions);
/// `irq_handlers`: "0000:03:00.0:on:acking:1234\n", "0000:03:00.0:off:not acking:0\n".
[[nodiscard]] std::string irq_handlers_text(std::span<const function> functions);
/// One function of `quirks`: its address without the segment, its ids, and each of its fields.
[[nodiscard]] std::string quirks_text(const register_list& function);

/// What the driver core's `bind` and `unbind` take: "0000:03:00.0" exactly, one newline allowed behind it. ENODEV
/// otherwise, for no device has another name.
[[nodiscard]] pci::result<pci::sbdf> parse_device_name(std::string_view text);

} // namespace sysfs_program
