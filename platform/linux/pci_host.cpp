// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/pci_host.hpp"

#include <cerrno>
#include <limits>
#include <span>

#include <fmt/format.h>

#include "platform/linux/config_port.hpp"
#include "platform/linux/storage.hpp"

namespace platform::linux_host {
namespace {

constexpr std::size_t secondary_bus = 0x19; ///< in a bridge's header

std::string driver_directory(const std::string& name) { return "bus/pci/drivers/" + name; }

} // namespace

std::string device(const pci::sbdf& address) { return "bus/pci/devices/" + pci::to_string(address); }

std::vector<pci::sbdf> pci_host::list() {
  std::vector<pci::sbdf> functions;
  for (const auto& name : files_.entries("bus/pci/devices"))
    if (const auto address = pci::parse_sbdf(name))
      functions.push_back(*address);
  return functions;
}

std::vector<std::string> pci_host::beyond_xen() {
  auto names = files_.entries("bus/pci/devices");
  std::erase_if(names, [](const std::string& name) { return !pci::is_beyond_xen(name); });
  return names;
}

std::vector<pci::reserved_region> pci_host::reserved_regions() {
  for (const auto name : pci::dmar_names) {
    const auto table = files_.read(fmt::format("firmware/acpi/tables/{}", name));
    if (table)
      return pci::read_reserved_regions(std::as_bytes(std::span{*table}), [this](const pci::sbdf& bridge) {
        const auto config = files_.read(device(bridge) + "/config");
        return config && config->size() > secondary_bus
                   ? std::optional(static_cast<std::uint8_t>((*config)[secondary_bus]))
                   : std::nullopt;
      });
  }
  return {};
}

pci::result<void> pci_host::exists(const pci::sbdf& address) const {
  if (!files_.exists(device(address)))
    return pci::fail(ENODEV, "no PCI function " + pci::to_string(address));
  return {};
}

std::string pci_host::needed_for(const pci::sbdf& address) {
  const auto all = storage_functions(files_, processes_);
  if (!all)
    return "may carry what dom0 runs from, which cannot be found out: " + pci::to_string(all.error());
  const auto found = all->find(address);
  return found == all->end() ? std::string{} : "carries " + found->second;
}

pci::result<std::uint64_t> pci_host::number(const pci::sbdf& address, const std::string& attribute,
                                            std::uint64_t limit) const {
  const auto text = files_.read(device(address) + "/" + attribute);
  if (!text)
    return tl::unexpected(text.error());
  const auto value = parse_number(*text);
  if (!value || *value > limit)
    return pci::fail(EIO,
                     fmt::format("{} of {} is not a number up to {:#x}", attribute, pci::to_string(address), limit));
  return *value;
}

pci::result<std::unique_ptr<pci::config_port>> pci_host::open_config(const pci::sbdf& address) {
  return exists(address).and_then([&]() -> pci::result<std::unique_ptr<pci::config_port>> {
    return config_port::open(files_.path(device(address) + "/config"));
  });
}

pci::result<std::string> pci_host::driver(const pci::sbdf& address) {
  if (auto there = exists(address); !there)
    return tl::unexpected(std::move(there.error()));
  auto name = files_.target(device(address) + "/driver");
  if (!name && name.error().error == ENOENT)
    return std::string{};
  return name;
}

pci::result<void> pci_host::hold(const pci::sbdf& address, holder how, bool seize) {
  const std::string wanted{driver_name(how)};
  const auto current = driver(address);
  if (!current)
    return tl::unexpected(current.error());
  if (!current->empty() && !is_holder(*current) && !seize)
    return pci::fail(EBUSY, fmt::format("{} belongs to the driver {}", pci::to_string(address), *current));
  const auto enabled = number(address, "enable", std::numeric_limits<int>::max());
  if (*current == wanted && enabled && *enabled != 0)
    return keep_awake(address);
  if (auto loaded = load_driver(wanted); !loaded)
    return loaded;
  if (!is_holder(*current) || (enabled && *enabled == 0)) // else it is as an earlier instance has left it
    note_power(address);
  if (!current->empty() && !is_holder(*current)) {
    const std::lock_guard lock(mutex_);
    previous_.insert_or_assign(address, *current);
  }
  auto taken = bind_holder(address, wanted);
  if (!taken && seize) {
    // The kernel was just probing a function that has come: its driver has it now, but cannot get it again.
    taken = bind_holder(address, wanted);
  }
  // The failure to be told is the first. A function that was held stays so: a guest may have it.
  if (!taken && is_holder(*current)) {
    (void)take(address, *current);
  } else if (!taken) {
    put_power_back(address);
    (void)give_back(address);
  }
  return taken;
}

pci::result<void> pci_host::bind_holder(const pci::sbdf& address, const std::string& name) {
  return unbind(address).and_then([&] { return take(address, name); });
}

pci::result<void> pci_host::take(const pci::sbdf& address, const std::string& name) {
  return files_.write(device(address) + "/driver_override", name)
      .and_then([&] { return enable(address); })
      .and_then([&] { return bind(address, name); })
      .and_then([&] { return keep_awake(address); });
}

pci::result<void> pci_host::load_driver(const std::string& name) {
  if (files_.exists(driver_directory(name)))
    return {};
  if (auto loaded = load_(name); !loaded)
    return loaded;
  if (!files_.exists(driver_directory(name)))
    return pci::fail(ENOENT, "the kernel has no driver " + name);
  return {};
}

pci::result<void> pci_host::unbind(const pci::sbdf& address) {
  const auto current = driver(address);
  if (!current)
    return tl::unexpected(current.error());
  if (current->empty())
    return {};
  return files_.write(driver_directory(*current) + "/unbind", pci::to_string(address));
}

pci::result<void> pci_host::unbind_holder(const pci::sbdf& address) {
  return unbind(address).map([&] { put_power_back(address); });
}

pci::result<void> pci_host::bind(const pci::sbdf& address, const std::string& name) {
  if (auto probed = files_.write("bus/pci/drivers_probe", pci::to_string(address)); !probed)
    return probed;
  // A probe that fails is not told.
  const auto current = driver(address);
  if (!current)
    return tl::unexpected(current.error());
  if (*current != name)
    return pci::fail(EIO, fmt::format("{} did not take {}, which belongs to {}", name, pci::to_string(address),
                                      current->empty() ? "no driver" : *current));
  return {};
}

pci::result<void> pci_host::release(const pci::sbdf& address) {
  const auto current = driver(address);
  if (!current)
    return tl::unexpected(current.error());
  if (is_holder(*current))
    if (auto unbound = unbind_holder(address); !unbound)
      return unbound;
  const auto previous = previous_driver(address);
  if (is_holder(*current) && !previous.empty() && files_.exists(driver_directory(previous)))
    (void)bind_previous(address, previous); // else whichever the kernel finds
  auto given = give_back(address);
  if (given) {
    const std::lock_guard lock(mutex_);
    previous_.erase(address);
  }
  return given;
}

// By its name: the kernel's own choice may be another driver for the same ids.
pci::result<void> pci_host::bind_previous(const pci::sbdf& address, const std::string& name) {
  return files_.write(device(address) + "/driver_override", name).and_then([&] {
    return files_.write("bus/pci/drivers_probe", pci::to_string(address));
  });
}

std::string pci_host::previous_driver(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  const auto found = previous_.find(address);
  return found == previous_.end() ? std::string{} : found->second;
}

void pci_host::remember_driver(const pci::sbdf& address, const std::string& driver) {
  const std::lock_guard lock(mutex_);
  previous_.try_emplace(address, driver);
}

pci::result<void> pci_host::let_go(const pci::sbdf& address) {
  const auto current = driver(address);
  if (!current)
    return tl::unexpected(current.error());
  if (is_holder(*current))
    if (auto unbound = unbind_holder(address); !unbound)
      return unbound;
  return clear_override(address);
}

pci::result<void> pci_host::clear_override(const pci::sbdf& address) {
  // An empty write would not reach the kernel; a line that is empty clears the override.
  return files_.write(device(address) + "/driver_override", "\n");
}

pci::result<void> pci_host::give_back(const pci::sbdf& address) {
  if (auto cleared = clear_override(address); !cleared)
    return cleared;
  return files_.write("bus/pci/drivers_probe", pci::to_string(address));
}

} // namespace platform::linux_host
