// SPDX-License-Identifier: GPL-2.0-or-later
// What the kernel shows of a function in sysfs.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "platform/linux/pci_host.hpp"

namespace platform::linux_host {
namespace {

/// Takes the next word of a line.
std::optional<std::uint64_t> next_number(std::string_view& line) {
  line = trim(line);
  const auto end = line.find_first_of(" \t");
  const auto word = line.substr(0, end);
  line.remove_prefix(word.size());
  return parse_number(word);
}

std::optional<pci::resource> parse_resource(std::string_view line) {
  const auto start = next_number(line);
  const auto end = next_number(line);
  const auto flags = next_number(line);
  if (!start || !end || !flags || !trim(line).empty())
    return std::nullopt;
  return pci::resource{*start, *end, *flags};
}

} // namespace

std::optional<std::array<pci::resource, 7>> parse_resources(std::string_view text) {
  std::array<pci::resource, 7> resources;
  for (auto& resource : resources) {
    const auto line = text.substr(0, text.find('\n'));
    const auto parsed = parse_resource(line);
    if (!parsed)
      return std::nullopt;
    resource = *parsed;
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return resources;
}

pci::result<pci::function> pci_host::describe(const pci::sbdf& address) {
  pci::function function;
  function.address = address;
  return exists(address)
      .and_then([&] { return describe_ids(function); })
      .and_then([&] { return describe_resources(function); })
      .and_then([&] { return describe_parent(function); })
      .and_then([&] { return describe_config(function); })
      .map([&] {
        describe_bridges(function);
        return std::move(function);
      });
}

pci::result<pci::identity> pci_host::identify(const pci::sbdf& address) {
  pci::function function;
  function.address = address;
  return exists(address).and_then([&] { return describe_ids(function); }).map([&] { return identity_of(function); });
}

pci::result<std::array<pci::resource, 7>> pci_host::resources(const pci::sbdf& address) {
  pci::function function;
  function.address = address;
  return exists(address).and_then([&] { return describe_resources(function); }).map([&] { return function.resources; });
}

pci::result<void> pci_host::describe_ids(pci::function& function) const {
  const auto vendor = number(function.address, "vendor", 0xffff);
  const auto id = number(function.address, "device", 0xffff);
  const auto class_code = number(function.address, "class", 0xffffff);
  const auto irq = number(function.address, "irq", std::numeric_limits<unsigned>::max());
  for (const auto* part : {&vendor, &id, &class_code, &irq})
    if (!*part)
      return tl::unexpected(part->error());
  function.vendor = static_cast<std::uint16_t>(*vendor);
  function.device = static_cast<std::uint16_t>(*id);
  function.class_code = static_cast<std::uint32_t>(*class_code);
  function.irq = static_cast<unsigned>(*irq);
  return {};
}

pci::result<void> pci_host::describe_resources(pci::function& function) const {
  const auto text = files_.read(device(function.address) + "/resource");
  if (!text)
    return tl::unexpected(text.error());
  const auto resources = parse_resources(*text);
  if (!resources)
    return pci::fail(EIO, "cannot understand the resources of " + pci::to_string(function.address));
  function.resources = *resources;
  return {};
}

pci::result<void> pci_host::describe_parent(pci::function& function) const {
  const auto link = files_.target(device(function.address) + "/physfn");
  if (!link)
    return {};
  const auto parent = pci::parse_sbdf(*link);
  if (!parent)
    return tl::unexpected(parent.error());
  function.physical_function = *parent;
  return {};
}

/// The path of a function leads through the bridges above it: /sys/devices/pci0000:00/0000:00:02.0/0000:01:00.0.
void pci_host::describe_bridges(pci::function& function) const {
  std::error_code error;
  const auto place = std::filesystem::canonical(files_.path(device(function.address)), error);
  for (const auto& part : place.parent_path())
    if (const auto bridge = pci::parse_sbdf(part.string()))
      function.bridges.insert(function.bridges.begin(), *bridge);
}

pci::result<void> pci_host::describe_config(pci::function& function) const {
  const auto bytes = files_.read(device(function.address) + "/config");
  if (!bytes)
    return tl::unexpected(bytes.error());
  // The kernel shows 64 bytes to those who may not administer.
  if (bytes->size() != 256 && bytes->size() != 4096)
    return pci::fail(EPERM, fmt::format("only {} bytes of the configuration space of {} can be read", bytes->size(),
                                        pci::to_string(function.address)));
  function.config.resize(bytes->size());
  std::memcpy(function.config.data(), bytes->data(), bytes->size());
  return {};
}

} // namespace platform::linux_host
