// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/hypervisor.hpp"

#include <cerrno>
#include <charconv>

#include "pci/config_space/answered.hpp"
#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/registers.hpp"

namespace platform {

namespace {

/// By STATUS, because a virtual function's vendor register reads all ones even in health.
pci::result<void> answers(const pci::sbdf& address, pci::config_port& hardware) {
  const auto status = hardware.read(pci::reg::status, 2);
  if (!status)
    return tl::unexpected(status.error());
  if (*status == 0xffff)
    return pci::fail(ENODEV, "no answer from " + pci::to_string(address));
  return {};
}

} // namespace

unsigned extra_guest_irqs(std::string_view command_line) {
  constexpr std::string_view option = "extra_guest_irqs=";
  unsigned found = 32; // Xen's own default
  while (!command_line.empty()) {
    const auto end = command_line.find(' ');
    const auto word = command_line.substr(0, end);
    command_line.remove_prefix(end == std::string_view::npos ? command_line.size() : end + 1);
    if (!word.starts_with(option))
      continue;
    const auto number = word.substr(option.size()); // before a comma; dom0's stands after it
    unsigned value = 0;
    if (std::from_chars(number.data(), number.data() + number.size(), value).ec == std::errc{})
      found = value;
  }
  return found;
}

std::optional<msix_function> msix_function::seen_in(const pci::function& reference) {
  if (!pci::find_msix(reference))
    return std::nullopt;
  return msix_function(reference.address);
}

pci::result<std::optional<restorable_function>>
restorable_function::look(const pci::function& reference, pci::config_port& hardware, pci::config_port& decoder) {
  const auto& address = reference.address;
  for (auto* port : {&hardware, &decoder})
    if (const auto there = answers(address, *port); !there)
      return tl::unexpected(there.error());
  if (!pci::find_msi(reference) && !pci::find_msix(reference))
    return std::optional<restorable_function>{};
  const auto command = pci::read_answered(decoder, pci::reg::command, 2);
  if (!command)
    return tl::unexpected(command.error());
  if ((*command & pci::reg::command_memory) == 0)
    return pci::fail(ENXIO, "memory decode is off: " + pci::to_string(address));
  return restorable_function(address);
}

} // namespace platform
