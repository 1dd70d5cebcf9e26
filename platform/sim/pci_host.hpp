// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <set>

#include "platform/pci_host.hpp"
#include "platform/sim/hypervisor.hpp"

namespace platform::sim {

/// dom0's kernel: its drivers, and what sysfs does.
class pci_host final : public platform::pci_host {
public:
  explicit pci_host(hypervisor& xen) : xen_(&xen) {}

  std::vector<pci::sbdf> list() override;
  pci::result<pci::function> describe(const pci::sbdf& address) override;
  pci::result<pci::identity> identify(const pci::sbdf& address) override;
  pci::result<std::array<pci::resource, 7>> resources(const pci::sbdf& address) override;
  pci::result<std::unique_ptr<pci::config_port>> open_config(const pci::sbdf& address) override;
  pci::result<std::string> driver(const pci::sbdf& address) override;
  pci::result<void> hold(const pci::sbdf& address, holder how, bool seize) override;
  pci::result<void> release(const pci::sbdf& address) override;
  pci::result<void> let_go(const pci::sbdf& address) override;
  pci::result<std::vector<pci::reset_option>> reset_options(const pci::sbdf& address) override;
  pci::result<void> reset(const pci::sbdf& address, pci::reset_method how) override;
  /// As the toolstack does it: whatever method there is. ENOTSUP: none.
  pci::result<void> reset(const pci::sbdf& address);
  std::vector<pci::reserved_region> reserved_regions() override { return reserved_; }
  void set_reserved_regions(std::vector<pci::reserved_region> all) { reserved_ = std::move(all); }
  std::string needed_for(const pci::sbdf& address) override;
  std::string previous_driver(const pci::sbdf& address) override;
  std::optional<power_settings> power_before(const pci::sbdf& address) override;
  void remember_power(const pci::sbdf& address, const power_settings& before) override;
  /// The daemon's process ends, and with it what it knew of that.
  void forget_power();

  /// The driver that dom0 has bound, and binds again when the function is released; it has the function enabled and,
  /// with `uses_line`, a handler on its line.
  void bind_driver(const pci::sbdf& address, const std::string& name, bool uses_line);
  /// dom0 runs from the function, in these words.
  void set_needed_for(const pci::sbdf& address, const std::string& what);
  /// The bus above is reset, as by the kernel's recovery from a fatal error: nobody restores the configuration.
  void reset_bus(const pci::sbdf& address);
  /// Every reset fails with `error` from now on; 0: none any more.
  void fail_reset(int error) { reset_error_ = error; }
  /// A sleep of the host: the registers are as after power-on, but where they are `restored` for those of the header,
  /// which the kernel saves.
  void lose_power(const pci::sbdf& address, bool restored);
  /// The same for binding a function to a holder.
  void fail_hold(int error) { hold_error_ = error; }
  /// The same for describing a function.
  void fail_describe(int error) { describe_error_ = error; }
  /// What the function has besides its own methods, before them.
  void add_reset_option(const pci::sbdf& address, pci::reset_option option);
  /// The function has no methods of its own, only those that are added.
  void take_resets(const pci::sbdf& address);
  /// After a reset by this method the function answers nothing, until it is reset by another one.
  void make_fatal(const pci::sbdf& address, pci::reset_method how);
  std::string boot_id() override { return boot_id_; }
  void set_boot_id(std::string id) { boot_id_ = std::move(id); }
  /// Called at the start of each of the daemon's resets, outside every lock: a test that makes them slow.
  void before_reset(std::function<void(const pci::sbdf&, pci::reset_method)> what) { before_reset_ = std::move(what); }

private:
  [[nodiscard]] static tl::unexpected<pci::failure> absent(const pci::sbdf& address);
  static void enable(hypervisor::function_state& function);
  void put_power_back(const pci::sbdf& address, hypervisor::function_state& function);
  hypervisor* xen_;
  std::map<pci::sbdf, power_settings> power_; ///< with the hypervisor's lock
  [[nodiscard]] pci::result<void> reset_one(const pci::sbdf& address, const pci::sbdf& for_whom);
  std::atomic<int> reset_error_{0};
  std::vector<pci::reserved_region> reserved_;
  std::atomic<int> hold_error_{0};
  std::atomic<int> describe_error_{0};
  std::map<pci::sbdf, std::vector<pci::reset_option>> more_options_;
  std::map<pci::sbdf, std::set<pci::reset_method>> fatal_;
  std::set<pci::sbdf> without_resets_;
  std::string boot_id_ = "simulated";
  std::function<void(const pci::sbdf&, pci::reset_method)> before_reset_;
};

class line_interrupts final : public platform::line_interrupts {
public:
  explicit line_interrupts(hypervisor& xen) : xen_(&xen) {}

  pci::line_facts facts(unsigned gsi) override;
  pci::result<pci::line_counts> counts(unsigned gsi) override;
  pci::result<bool> gives_up_lines() override;
  pci::result<void> set_gives_up_lines(bool on) override;
  pci::result<void> listen(const pci::sbdf& address) override;
  void ignore(const pci::sbdf& address) override;
  /// The daemon's process ends, and its uio descriptors with it.
  void ignore_all();

private:
  static void close_uio(hypervisor::function_state& function);
  hypervisor* xen_;
};

} // namespace platform::sim
