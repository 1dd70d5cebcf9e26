// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pci/address.hpp"
#include "pci/policy.hpp"
#include "pci/result.hpp"

namespace sysfs_program {

/// A held function, as far as pciback's files tell of it.
struct function {
  pci::sbdf address;
  bool assignable = true; ///< false: being taken, or not clean: as though pciback had not got it
  bool settling = false;  ///< taken back from a guest and not yet clean, but soon
  bool permissive = false;
  bool interrupt_control = false;
  bool handler = false; ///< an acknowledging handler is on
  bool message = false; ///< MSI or MSI-X is on, so that the handler leaves interrupts alone
  std::uint64_t handled = 0;
};

/// The registers of a function, for the file `quirks`.
struct register_list {
  pci::sbdf address;
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint16_t subsystem_vendor = 0;
  std::uint16_t subsystem = 0;
  std::vector<pci::quirk> fields;
};

/// The daemon. Calls block until it has answered; safe from any thread. EIO: there is none, or it does not answer.
class backend {
public:
  backend() = default;
  backend(const backend&) = delete;
  backend& operator=(const backend&) = delete;
  virtual ~backend() = default;

  [[nodiscard]] virtual pci::result<std::vector<function>> list() = 0;
  [[nodiscard]] virtual pci::result<register_list> registers(const pci::sbdf& address) = 0;
  /// Takes a function that no driver of dom0 has.
  [[nodiscard]] virtual pci::result<void> hold(const pci::sbdf& address) = 0;
  /// Gives it back, without a driver.
  [[nodiscard]] virtual pci::result<void> release(const pci::sbdf& address) = 0;
  [[nodiscard]] virtual pci::result<void> set_permissive(const pci::sbdf& address) = 0;
  [[nodiscard]] virtual pci::result<void> allow_interrupt_control(const pci::sbdf& address) = 0;
  [[nodiscard]] virtual pci::result<void> add_quirk(const pci::addressed_quirk& what) = 0;
  [[nodiscard]] virtual pci::result<void> acknowledge(const pci::sbdf& address, bool on) = 0;
};

} // namespace sysfs_program
