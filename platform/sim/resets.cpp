// SPDX-License-Identifier: GPL-2.0-or-later
// What dom0's kernel does when a function is reset, or has been without power.
#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "platform/sim/pci_host.hpp"
#include "platform/sim/violation.hpp"

namespace platform::sim {

namespace reg = pci::reg;

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

void pci_host::reset_bus(const pci::sbdf& address) {
  std::lock_guard hold(xen_->mutex_);
  auto* found = xen_->find(address);
  if (found == nullptr)
    return;
  found->hardware.reset();
  xen_->message_reset(*found);
}

} // namespace platform::sim
