// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/sysfs/formats.hpp"

#include <cerrno>
#include <iterator>

#include <fmt/format.h>

namespace sysfs_program {
namespace {

std::string names_of(std::span<const function> functions, bool function::*which) {
  std::string text;
  for (const auto& each : functions) {
    if (each.*which) {
      text += pci::to_string(each.address) + "\n";
    }
  }
  return text;
}

} // namespace

std::string slots_text(std::span<const pci::sbdf> slots) {
  std::string text;
  for (const auto& slot : slots) {
    text += pci::to_string(slot) + "\n";
  }
  return text;
}

std::string permissive_text(std::span<const function> functions) { return names_of(functions, &function::permissive); }

std::string interrupt_control_text(std::span<const function> functions) {
  return names_of(functions, &function::interrupt_control);
}

std::string irq_handlers_text(std::span<const function> functions) {
  std::string text;
  for (const auto& each : functions) {
    text += fmt::format("{}:{}:{}ing:{}\n", pci::to_string(each.address), each.handler ? "on" : "off",
                        each.handler && !each.message ? "ack" : "not ack", each.handled);
  }
  return text;
}

std::string quirks_text(const register_list& function) {
  const auto& at = function.address;
  auto text = fmt::format("{:02x}:{:02x}.{:x}\n\t{:04x}:{:04x}:{:04x}:{:04x}\n", at.bus, at.slot(), at.function(),
                          function.vendor, function.device, function.subsystem_vendor, function.subsystem);
  for (const auto& field : function.fields) {
    fmt::format_to(std::back_inserter(text), "\t\t{:08x}:{:x}:{:08x}\n", field.offset, field.width, field.mask);
  }
  return text;
}

pci::result<pci::sbdf> parse_device_name(std::string_view text) {
  if (text.ends_with('\n')) {
    text.remove_suffix(1);
  }
  const auto address = pci::parse_sbdf(text);
  if (!address || pci::to_string(*address) != text) {
    return pci::fail(ENODEV, fmt::format("no device is named \"{}\"", text));
  }
  return *address;
}

} // namespace sysfs_program
