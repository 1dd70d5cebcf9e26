// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "platform/sim/pci_host.hpp"

namespace platform::sim {

namespace reg = pci::reg;

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
