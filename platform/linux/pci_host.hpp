// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "platform/linux/modules.hpp"
#include "platform/linux/sysfs.hpp"
#include "platform/pci_host.hpp"

namespace platform::linux_host {

/// A function's directory below /sys.
[[nodiscard]] std::string device(const pci::sbdf& address);

/// Reads the first seven lines of a function's `resource` file. Empty: not of that form.
[[nodiscard]] std::optional<std::array<pci::resource, 7>> parse_resources(std::string_view text);

/// The PCI functions that dom0's kernel shows in sysfs.
class pci_host final : public platform::pci_host {
public:
  /// `files` outlives this; `processes` is where /proc is.
  explicit pci_host(sysfs& files, module_loader load = modprobe, std::filesystem::path processes = "/proc")
      : files_(files), processes_(std::move(processes)), load_(std::move(load)) {}

  [[nodiscard]] std::vector<pci::sbdf> list() override;
  [[nodiscard]] std::vector<std::string> beyond_xen() override;
  [[nodiscard]] std::vector<pci::reserved_region> reserved_regions() override;
  [[nodiscard]] pci::result<pci::function> describe(const pci::sbdf& address) override;
  [[nodiscard]] pci::result<pci::identity> identify(const pci::sbdf& address) override;
  [[nodiscard]] pci::result<std::array<pci::resource, 7>> resources(const pci::sbdf& address) override;
  [[nodiscard]] std::string needed_for(const pci::sbdf& address) override;
  [[nodiscard]] pci::result<std::unique_ptr<pci::config_port>> open_config(const pci::sbdf& address) override;
  [[nodiscard]] pci::result<std::string> driver(const pci::sbdf& address) override;
  [[nodiscard]] pci::result<void> hold(const pci::sbdf& address, holder how, bool seize) override;
  [[nodiscard]] pci::result<void> release(const pci::sbdf& address) override;
  [[nodiscard]] pci::result<void> let_go(const pci::sbdf& address) override;
  [[nodiscard]] std::string previous_driver(const pci::sbdf& address) override;
  void remember_driver(const pci::sbdf& address, const std::string& driver) override;
  [[nodiscard]] std::optional<power_settings> power_before(const pci::sbdf& address) override;
  void remember_power(const pci::sbdf& address, const power_settings& before) override;
  [[nodiscard]] pci::result<std::vector<pci::reset_option>> reset_options(const pci::sbdf& address) override;
  [[nodiscard]] pci::result<void> reset(const pci::sbdf& address, pci::reset_method how) override;
  [[nodiscard]] std::string boot_id() override;

private:
  [[nodiscard]] pci::result<void> exists(const pci::sbdf& address) const;
  [[nodiscard]] pci::result<std::uint64_t> number(const pci::sbdf& address, const std::string& attribute,
                                                  std::uint64_t limit) const;
  [[nodiscard]] pci::result<void> describe_ids(pci::function& function) const;
  [[nodiscard]] pci::result<void> describe_resources(pci::function& function) const;
  [[nodiscard]] pci::result<void> describe_parent(pci::function& function) const;
  void describe_bridges(pci::function& function) const;
  [[nodiscard]] pci::result<void> describe_config(pci::function& function) const;

  [[nodiscard]] pci::result<void> load_driver(const std::string& name);
  [[nodiscard]] pci::result<void> unbind(const pci::sbdf& address);
  [[nodiscard]] pci::result<void> unbind_holder(const pci::sbdf& address);
  [[nodiscard]] pci::result<void> enable(const pci::sbdf& address);
  [[nodiscard]] pci::result<void> bind(const pci::sbdf& address, const std::string& name);
  [[nodiscard]] pci::result<void> take(const pci::sbdf& address, const std::string& name);
  [[nodiscard]] pci::result<void> clear_override(const pci::sbdf& address);
  [[nodiscard]] pci::result<void> give_back(const pci::sbdf& address);
  [[nodiscard]] pci::result<void> keep_awake(const pci::sbdf& address);
  void note_power(const pci::sbdf& address);
  void put_power_back(const pci::sbdf& address);
  [[nodiscard]] std::optional<bool> flag(const pci::sbdf& address, const std::string& attribute,
                                         std::string_view set) const;
  [[nodiscard]] pci::result<void> bind_holder(const pci::sbdf& address, const std::string& name);
  [[nodiscard]] pci::result<void> bind_previous(const pci::sbdf& address, const std::string& name);

  sysfs& files_;
  sysfs processes_;
  module_loader load_;
  std::mutex mutex_;
  std::map<pci::sbdf, std::string> previous_; ///< drivers that functions were taken from
  std::map<pci::sbdf, power_settings> power_; ///< how their power was managed then
};

} // namespace platform::linux_host
