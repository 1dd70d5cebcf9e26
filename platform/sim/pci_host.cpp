// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/pci_host.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "platform/sim/violation.hpp"

namespace platform::sim {

namespace reg = pci::reg;

namespace {

/// An open `config` file of sysfs.
class sim_config_port final : public pci::config_port {
public:
  sim_config_port(hypervisor& xen, const pci::sbdf& address, std::uint64_t serial)
      : xen_(&xen), address_(address), serial_(serial) {}
  pci::result<std::uint32_t> read(std::uint16_t offset, unsigned width) override {
    xen_->take_access_time(address_);
    return xen_->config_read(address_, serial_, offset, width);
  }
  pci::result<void> write(std::uint16_t offset, unsigned width, std::uint32_t value) override {
    xen_->take_access_time(address_);
    return xen_->config_write(address_, serial_, offset, width, value);
  }

private:
  hypervisor* xen_;
  pci::sbdf address_;
  std::uint64_t serial_;
};

} // namespace

tl::unexpected<pci::failure> pci_host::absent(const pci::sbdf& address) {
  return pci::fail(ENODEV, fmt::format("{}: no such PCI function", pci::to_string(address)));
}

std::vector<pci::sbdf> pci_host::list() { return xen_->functions(); }

pci::result<pci::identity> pci_host::identify(const pci::sbdf& address) {
  if (const int error = describe_error_; error != 0)
    return pci::fail(error, pci::to_string(address) + " cannot be described");
  std::lock_guard hold(xen_->mutex_);
  const auto* found = xen_->find(address);
  if (found == nullptr)
    return absent(address);
  const auto& hardware = found->hardware;
  return pci::identity{address, hardware.model().vendor, hardware.model().device,
                       hardware.read(reg::class_revision, 4) >> 8};
}

pci::result<pci::function> pci_host::describe(const pci::sbdf& address) {
  const auto who = identify(address);
  if (!who)
    return tl::unexpected(who.error());
  std::lock_guard hold(xen_->mutex_);
  const auto* found = xen_->find(address);
  if (found == nullptr)
    return absent(address);
  const auto& model = found->hardware.model();
  pci::function what;
  what.address = address;
  what.vendor = who->vendor;
  what.device = who->device;
  what.class_code = who->class_code;
  what.resources = model.resources;
  // Until the function is enabled the kernel knows no better than the register, which the firmware wrote.
  what.irq = found->enabled || model.irq == 0 ? model.irq : found->hardware.read(reg::interrupt_line, 1);
  what.physical_function = model.physical_function;
  what.bridges = model.bridges;
  what.config.resize(found->hardware.config_size());
  for (std::size_t i = 0; i < what.config.size(); ++i)
    what.config[i] = found->dead ? std::byte{0xff} : static_cast<std::byte>(found->hardware.read(i, 1));
  return what;
}

pci::result<std::array<pci::resource, 7>> pci_host::resources(const pci::sbdf& address) {
  std::lock_guard hold(xen_->mutex_);
  const auto* found = xen_->find(address);
  if (found == nullptr)
    return absent(address);
  return found->hardware.model().resources;
}

pci::result<std::unique_ptr<pci::config_port>> pci_host::open_config(const pci::sbdf& address) {
  std::lock_guard hold(xen_->mutex_);
  const auto* found = xen_->find(address);
  if (found == nullptr)
    return absent(address);
  return std::make_unique<sim_config_port>(*xen_, address, found->serial);
}

pci::result<std::string> pci_host::driver(const pci::sbdf& address) {
  std::lock_guard hold(xen_->mutex_);
  const auto* found = xen_->find(address);
  if (found == nullptr)
    return absent(address);
  return found->driver;
}

/// pci_enable_device: decoding on for what the function has, its GSI registered in Xen.
void pci_host::enable(hypervisor::function_state& function) {
  std::uint16_t decode = 0;
  for (const auto& resource : function.hardware.model().resources) {
    if (resource.size() == 0)
      continue;
    decode |= resource.is_io() ? reg::command_io : reg::command_memory;
  }
  if (!function.hardware.model().physical_function)
    function.hardware.set_command(decode, 0);
  function.enabled = true;
}

pci::result<void> pci_host::hold(const pci::sbdf& address, holder how, bool seize) {
  std::lock_guard guard(xen_->mutex_);
  auto* found = xen_->find(address);
  if (found == nullptr)
    return absent(address);
  if (const int error = hold_error_; error != 0)
    return pci::fail(error, pci::to_string(address) + " cannot be bound");
  if (!found->driver.empty() && !is_holder(found->driver) && !seize)
    return pci::fail(EBUSY, fmt::format("{} is in use by {}", pci::to_string(address), found->driver));
  if (!is_holder(found->driver))
    power_[address] = {found->suspends, found->loses_power, found->home_driver.empty() ? !found->enabled : true};
  found->suspends = found->loses_power = false;
  found->uses_line = false;
  found->listening = false;
  enable(*found);
  const std::string wanted{driver_name(how)};
  if (found->driver != wanted) {
    found->driver = wanted;
    xen_->update_handler(*found);
  }
  return {};
}

pci::result<void> pci_host::release(const pci::sbdf& address) {
  std::lock_guard hold(xen_->mutex_);
  auto* found = xen_->find(address);
  if (found == nullptr)
    return absent(address);
  if (xen_->find(found->owner) != nullptr)
    violation(fmt::format("{} goes to dom0's drivers while domain {} has it", pci::to_string(address), found->owner));
  if (!is_holder(found->driver))
    return {};
  put_power_back(address, *found);
  found->driver = found->home_driver;
  found->enabled = found->enabled || !found->driver.empty();
  found->uses_line = found->home_uses_line;
  found->listening = false;
  xen_->update_handler(*found);
  return {};
}

pci::result<void> pci_host::let_go(const pci::sbdf& address) {
  std::lock_guard hold(xen_->mutex_);
  auto* found = xen_->find(address);
  if (found == nullptr)
    return absent(address);
  if (xen_->find(found->owner) != nullptr)
    violation(fmt::format("{} goes to dom0's drivers while domain {} has it", pci::to_string(address), found->owner));
  if (!is_holder(found->driver))
    return {};
  put_power_back(address, *found);
  found->driver.clear();
  found->uses_line = false;
  found->listening = false;
  return {};
}

/// pci_disable_device takes bus mastering from a function that nobody has enabled any more.
void pci_host::put_power_back(const pci::sbdf& address, hypervisor::function_state& function) {
  const auto before = power_.extract(address);
  if (before.empty())
    return;
  function.suspends = before.mapped().suspends.value_or(false);
  function.loses_power = before.mapped().loses_power.value_or(false);
  if (before.mapped().enabled_here) {
    function.enabled = false;
    function.hardware.set_command(0, reg::command_master);
  }
}

std::optional<power_settings> pci_host::power_before(const pci::sbdf& address) {
  std::lock_guard hold(xen_->mutex_);
  const auto found = power_.find(address);
  return found == power_.end() ? std::nullopt : std::optional(found->second);
}

void pci_host::remember_power(const pci::sbdf& address, const power_settings& before) {
  std::lock_guard hold(xen_->mutex_);
  power_.try_emplace(address, before);
}

void pci_host::forget_power() {
  std::lock_guard hold(xen_->mutex_);
  power_.clear();
}

std::string pci_host::needed_for(const pci::sbdf& address) {
  std::lock_guard hold(xen_->mutex_);
  const auto* found = xen_->find(address);
  return found == nullptr ? std::string{} : found->needed_for;
}

void pci_host::set_needed_for(const pci::sbdf& address, const std::string& what) {
  std::lock_guard hold(xen_->mutex_);
  if (auto* found = xen_->find(address))
    found->needed_for = what;
}

std::string pci_host::previous_driver(const pci::sbdf& address) {
  std::lock_guard hold(xen_->mutex_);
  const auto* found = xen_->find(address);
  return found == nullptr || !is_holder(found->driver) ? std::string{} : found->home_driver;
}

void pci_host::bind_driver(const pci::sbdf& address, const std::string& name, bool uses_line) {
  std::lock_guard hold(xen_->mutex_);
  auto* found = xen_->find(address);
  if (found == nullptr)
    return;
  found->driver = found->home_driver = name;
  found->uses_line = found->home_uses_line = uses_line;
  xen_->update_handler(*found);
  if (!name.empty())
    enable(*found);
}

} // namespace platform::sim
