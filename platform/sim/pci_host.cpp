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

tl::unexpected<pci::failure> absent(const pci::sbdf& address) {
  return pci::fail(ENODEV, fmt::format("{}: no such PCI function", pci::to_string(address)));
}

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

std::vector<pci::sbdf> pci_host::list() { return xen_->functions(); }

pci::result<pci::function> pci_host::describe(const pci::sbdf& address) {
  if (const int error = describe_error_; error != 0)
    return pci::fail(error, pci::to_string(address) + " cannot be described");
  std::lock_guard hold(xen_->mutex_);
  const auto* found = xen_->find(address);
  if (found == nullptr)
    return absent(address);
  const auto& model = found->hardware.model();
  pci::function what;
  what.address = address;
  what.vendor = model.vendor;
  what.device = model.device;
  what.class_code = found->hardware.read(reg::class_revision, 4) >> 8;
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
  found->driver = found->home_driver;
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
  found->driver.clear();
  found->uses_line = false;
  found->listening = false;
  return {};
}

/// The kernel saves the configuration before a reset and restores it after, so whatever a guest left there is still
/// there (seen in the lab, MSI-X control and bus mastering included).
pci::result<void> pci_host::reset_one(const pci::sbdf& address, const pci::sbdf& for_whom) {
  std::lock_guard hold(xen_->mutex_);
  auto* found = xen_->find(address);
  if (found == nullptr)
    return absent(address);
  auto& hardware = found->hardware;
  if (reset_error_ != 0)
    return pci::fail(reset_error_, fmt::format("{}: reset", pci::to_string(address)));
  std::vector<std::uint32_t> header;
  for (std::size_t offset = 0; offset < 64; offset += 4)
    header.push_back(hardware.read(offset, 4));
  std::vector<std::uint32_t> kept;
  for (const auto& each : hardware.kept_by_kernel())
    kept.push_back(hardware.read(each.offset, each.width));
  const auto control = hardware.msix_control();
  if (found->owner != 0 && found->owner != domid_io)
    if (const auto* owner = xen_->find(found->owner); owner != nullptr && !owner->dying && address != for_whom)
      violation(fmt::format("{} is reset together with {} while domain {} has it", pci::to_string(address),
                            pci::to_string(for_whom), found->owner));
  hardware.reset();
  for (std::size_t i = 0; i < kept.size(); ++i)
    hardware.write(hardware.kept_by_kernel()[i].offset, hardware.kept_by_kernel()[i].width, kept[i]);
  for (std::size_t i = header.size(); i-- > 0;)
    hardware.write(i * 4, 4, i == 1 ? header[i] & 0xffffU : header[i]);
  if (hardware.msix() != 0)
    hardware.force_word(hardware.msix() + reg::message_control, control, 0);
  xen_->message_reset(*found);
  return {};
}

// drivers/pci/pci-driver.c, pci_pm_resume_noirq: what a driver without callbacks had is restored from what was saved,
// bus mastering and interrupts are not.
void pci_host::lose_power(const pci::sbdf& address, bool restored) {
  std::lock_guard hold(xen_->mutex_);
  auto* found = xen_->find(address);
  if (found == nullptr)
    return;
  auto& hardware = found->hardware;
  std::vector<std::uint32_t> header;
  for (std::size_t offset = 0; offset < 64; offset += 4)
    header.push_back(hardware.read(offset, 4));
  hardware.reset();
  if (restored)
    for (std::size_t i = header.size(); i-- > 0;)
      hardware.write(i * 4, 4, i == 1 ? header[i] & 0xffffU & ~std::uint32_t{reg::command_master} : header[i]);
  xen_->message_reset(*found);
}

pci::result<std::vector<pci::reset_option>> pci_host::reset_options(const pci::sbdf& address) {
  std::lock_guard hold(xen_->mutex_);
  const auto* found = xen_->find(address);
  if (found == nullptr)
    return absent(address);
  const auto more = more_options_.find(address);
  auto options = more == more_options_.end() ? std::vector<pci::reset_option>{} : more->second;
  const auto& model = found->hardware.model();
  if (without_resets_.contains(address))
    return options;
  if (model.has_flr)
    options.push_back({pci::reset_method::flr, {}});
  if (model.has_reset && !model.has_flr)
    options.push_back({pci::reset_method::pm, {}});
  return options;
}

pci::result<void> pci_host::reset(const pci::sbdf& address) {
  return reset_options(address).and_then([&](const std::vector<pci::reset_option>& options) -> pci::result<void> {
    if (options.empty())
      return pci::fail(ENOTSUP, fmt::format("{}: the kernel knows no way to reset it", pci::to_string(address)));
    return reset_one(address, address);
  });
}

pci::result<void> pci_host::reset(const pci::sbdf& address, pci::reset_method how) {
  if (before_reset_)
    before_reset_(address, how);
  const auto options = reset_options(address);
  if (!options)
    return tl::unexpected(options.error());
  const auto chosen = std::ranges::find(*options, how, &pci::reset_option::method);
  if (chosen == options->end())
    return pci::fail(ENOTSUP, fmt::format("{}: no reset by {}", pci::to_string(address), to_string(how)));
  {
    std::lock_guard hold(xen_->mutex_);
    if (const auto* each = xen_->find(address))
      xen_->check_reset(*each);
    for (const auto& other : chosen->hits)
      if (const auto* each = xen_->find(other))
        xen_->check_reset(*each);
  }
  auto done = reset_one(address, address);
  for (const auto& other : chosen->hits)
    if (auto hit = reset_one(other, address); done && !hit)
      done = hit;
  std::lock_guard hold(xen_->mutex_);
  const auto fatal = fatal_.find(address);
  if (auto* found = done ? xen_->find(address) : nullptr)
    found->dead = fatal != fatal_.end() && fatal->second.contains(how);
  return done;
}

void pci_host::add_reset_option(const pci::sbdf& address, pci::reset_option option) {
  std::lock_guard hold(xen_->mutex_);
  more_options_[address].push_back(std::move(option));
}

void pci_host::make_fatal(const pci::sbdf& address, pci::reset_method how) {
  std::lock_guard hold(xen_->mutex_);
  fatal_[address].insert(how);
}

void pci_host::take_resets(const pci::sbdf& address) {
  std::lock_guard hold(xen_->mutex_);
  without_resets_.insert(address);
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

void pci_host::reset_bus(const pci::sbdf& address) {
  std::lock_guard hold(xen_->mutex_);
  auto* found = xen_->find(address);
  if (found == nullptr)
    return;
  found->hardware.reset();
  xen_->message_reset(*found);
}

pci::line_facts line_interrupts::facts(unsigned gsi) {
  std::lock_guard hold(xen_->mutex_);
  pci::line_facts facts;
  facts.gsi = gsi;
  facts.functions = 0;
  for (const auto& [address, function] : xen_->functions_) {
    const auto& model = function->hardware.model();
    if (gsi == 0 || model.irq != gsi)
      continue;
    facts.level = facts.level || model.level;
    ++facts.functions;
    if (function->uses_line) {
      ++facts.dom0_handlers;
      facts.drivers += (facts.drivers.empty() ? "" : ",") + function->driver;
    }
  }
  return facts;
}

pci::result<pci::line_counts> line_interrupts::counts(unsigned gsi) {
  std::lock_guard hold(xen_->mutex_);
  const auto found = xen_->lines_.find(gsi);
  if (found == xen_->lines_.end())
    return pci::fail(ENOENT, fmt::format("dom0 has no line {}", gsi));
  return found->second.watch.counts();
}

pci::result<bool> line_interrupts::gives_up_lines() {
  std::lock_guard hold(xen_->mutex_);
  return !xen_->noirqdebug_;
}

pci::result<void> line_interrupts::set_gives_up_lines(bool on) {
  std::lock_guard hold(xen_->mutex_);
  xen_->noirqdebug_ = !on;
  return {};
}

pci::result<void> line_interrupts::listen(const pci::sbdf& address) {
  std::lock_guard hold(xen_->mutex_);
  auto* found = xen_->find(address);
  if (found == nullptr || found->driver != driver_name(holder::uio) || found->hardware.model().irq == 0)
    return pci::fail(ENODEV, fmt::format("{}: no uio device with an interrupt", pci::to_string(address)));
  found->listening = true;
  return {};
}

/// uio_pci_generic's release: with the descriptor goes bus mastering, unless the driver was unbound before.
void line_interrupts::close_uio(hypervisor::function_state& function) {
  if (std::exchange(function.listening, false))
    function.hardware.set_command(0, reg::command_master);
}

void line_interrupts::ignore(const pci::sbdf& address) {
  std::lock_guard hold(xen_->mutex_);
  if (auto* found = xen_->find(address))
    close_uio(*found);
}

void line_interrupts::ignore_all() {
  std::lock_guard hold(xen_->mutex_);
  for (auto& [address, function] : xen_->functions_)
    close_uio(*function);
}

} // namespace platform::sim
