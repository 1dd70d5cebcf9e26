// SPDX-License-Identifier: GPL-2.0-or-later
// How the kernel manages the power of a function that is held, and what it did before.
#include <cerrno>
#include <limits>

#include "platform/linux/pci_host.hpp"

namespace platform::linux_host {
namespace {

constexpr const char* control_attribute = "/power/control";
constexpr const char* d3cold_attribute = "/d3cold_allowed";

} // namespace

pci::result<void> pci_host::enable(const pci::sbdf& address) {
  // The kernel counts, and refuses while a driver is bound. It counts on when the holder is unbound: once is enough.
  const auto enabled = number(address, "enable", std::numeric_limits<int>::max());
  if (enabled && *enabled != 0)
    return {};
  return files_.write(device(address) + "/enable", "1").map([&] {
    const std::lock_guard lock(mutex_);
    if (const auto known = power_.find(address); known != power_.end())
      known->second.enabled_here = true;
  });
}

pci::result<void> pci_host::keep_awake(const pci::sbdf& address) {
  // Not every function has them, or the kernel was built without power management.
  for (const auto& [attribute, value] : {std::pair{control_attribute, "on"}, std::pair{d3cold_attribute, "0"}}) {
    auto written = files_.write(device(address) + attribute, value);
    if (!written && written.error().error != ENOENT)
      return written;
  }
  return {};
}

std::optional<bool> pci_host::flag(const pci::sbdf& address, const std::string& attribute, std::string_view set) const {
  const auto text = files_.read(device(address) + attribute);
  return text ? std::optional(trim(*text) == set) : std::nullopt;
}

void pci_host::note_power(const pci::sbdf& address) {
  const power_settings found{flag(address, control_attribute, "auto"), flag(address, d3cold_attribute, "1"), false};
  const std::lock_guard lock(mutex_);
  power_.insert_or_assign(address, found);
}

// While no driver is bound, for then alone the kernel lets go of what was enabled from here. What it refuses leaves the
// function as it was held, which harms no driver.
void pci_host::put_power_back(const pci::sbdf& address) {
  const auto before = power_before(address);
  if (!before)
    return;
  if (before->enabled_here)
    (void)files_.write(device(address) + "/enable", "0");
  if (before->loses_power == true)
    (void)files_.write(device(address) + d3cold_attribute, "1");
  if (before->suspends == true)
    (void)files_.write(device(address) + control_attribute, "auto");
  const std::lock_guard lock(mutex_);
  power_.erase(address);
}

std::optional<power_settings> pci_host::power_before(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  const auto found = power_.find(address);
  return found == power_.end() ? std::nullopt : std::optional(found->second);
}

void pci_host::remember_power(const pci::sbdf& address, const power_settings& before) {
  const std::lock_guard lock(mutex_);
  power_.try_emplace(address, before);
}

} // namespace platform::linux_host
