// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "tools/pcibackctl/client.hpp"
#include "tools/sysfs/backend.hpp"

namespace sysfs_program {

/// The daemon behind its control socket. Each call has a connection of its own.
class control_backend final : public backend {
public:
  explicit control_backend(std::string socket) : socket_(std::move(socket)) {}

  pci::result<std::vector<function>> list() override;
  pci::result<register_list> registers(const pci::sbdf& address) override;
  pci::result<void> hold(const pci::sbdf& address) override;
  pci::result<void> release(const pci::sbdf& address) override;
  pci::result<void> set_permissive(const pci::sbdf& address) override;
  pci::result<void> allow_interrupt_control(const pci::sbdf& address) override;
  pci::result<void> add_quirk(const pci::addressed_quirk& what) override;
  pci::result<void> acknowledge(const pci::sbdf& address, bool on) override;

private:
  [[nodiscard]] pci::result<std::string> ask(const client_program::call& what) const;
  [[nodiscard]] pci::result<void> command(const client_program::call& what) const;

  std::string socket_;
};

/// Reads the results of the daemon's methods list and registers. EPROTO: they have another form.
[[nodiscard]] pci::result<std::vector<function>> parse_functions(const std::string& result);
[[nodiscard]] pci::result<register_list> parse_registers(const std::string& result);

} // namespace sysfs_program
