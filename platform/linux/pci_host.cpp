// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/pci_host.hpp"

#include <cerrno>
#include <cstring>
#include <limits>
#include <span>

#include <fmt/format.h>

#include "platform/linux/config_port.hpp"
#include "platform/linux/storage.hpp"

namespace platform::linux_host {
namespace {

constexpr std::size_t secondary_bus = 0x19; ///< in a bridge's header

std::string driver_directory(const std::string& name) { return "bus/pci/drivers/" + name; }

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

std::string device(const pci::sbdf& address) { return "bus/pci/devices/" + pci::to_string(address); }

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

// Xen takes the remapping hardware for itself, and hides the table from dom0 by its first letter.
std::vector<pci::reserved_region> pci_host::reserved_regions() {
  for (const auto* name : {"DMAR", "XMAR"}) {
    const auto table = files_.read(std::string("firmware/acpi/tables/") + name);
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
  if (!taken)
    (void)(is_holder(*current) ? take(address, *current) : give_back(address));
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

pci::result<void> pci_host::enable(const pci::sbdf& address) {
  // The kernel counts, and refuses while a driver is bound. It counts on when the holder is unbound: once is enough.
  const auto enabled = number(address, "enable", std::numeric_limits<int>::max());
  if (enabled && *enabled != 0)
    return {};
  return files_.write(device(address) + "/enable", "1");
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

pci::result<void> pci_host::keep_awake(const pci::sbdf& address) {
  // Not every function has them, or the kernel was built without power management.
  for (const auto& [attribute, value] : {std::pair{"/power/control", "on"}, std::pair{"/d3cold_allowed", "0"}}) {
    auto written = files_.write(device(address) + attribute, value);
    if (!written && written.error().error != ENOENT)
      return written;
  }
  return {};
}

pci::result<void> pci_host::release(const pci::sbdf& address) {
  const auto current = driver(address);
  if (!current)
    return tl::unexpected(current.error());
  if (is_holder(*current))
    if (auto unbound = unbind(address); !unbound)
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
    if (auto unbound = unbind(address); !unbound)
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
