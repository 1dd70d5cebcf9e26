// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "platform/remote/remote_host.hpp"

namespace platform::remote {

/// xenstore: each operation is a request; those of a transaction go over one link.
class remote_store final : public store {
public:
  explicit remote_store(links& all) : all_(all) {}
  result<std::string> read(const std::string& path) override;
  result<void> write(const std::string& path, std::string_view value) override;
  result<void> make_directory(const std::string& path) override;
  result<void> remove(const std::string& path) override;
  result<std::vector<std::string>> list(const std::string& path) override;
  result<void> set_permissions(const std::string& path, std::span<const node_permission> who) override;
  result<void> transact(const std::function<result<void>(store_operations&)>& body, unsigned attempts) override;
  result<void> watch(const std::string& path, const std::string& token, unsigned depth) override;
  result<void> unwatch(const std::string& path, const std::string& token) override;
  /// The watch stands: what was under way when it ended is nobody's any more.
  [[nodiscard]] bool is_watched(const std::string& token) const;

private:
  links& all_;
  mutable std::mutex mutex_;
  std::set<std::string> tokens_;
};

class remote_hypervisor final : public hypervisor {
public:
  explicit remote_hypervisor(links& all) : all_(all) {}
  pci::result<std::uint16_t> map_msi(domain_id domain, const pci::sbdf& address) override;
  pci::result<std::uint16_t> map_msix(domain_id domain, const pci::sbdf& address, std::uint16_t entry,
                                      std::uint64_t table_base) override;
  pci::result<void> unmap_pirq(domain_id domain, std::uint16_t pirq) override;
  pci::result<void> prepare_msix(const msix_function& function) override;
  pci::result<void> release_msix(const msix_function& function) override;
  pci::result<void> restore_msi(const restorable_function& function) override;
  pci::result<void> assign(domain_id domain, const pci::sbdf& address, pci::rdm_policy rdm) override;
  pci::result<void> deassign(domain_id domain, const pci::sbdf& address) override;
  pci::result<bool> has_guest(const pci::sbdf& address) override;
  unsigned vectors_a_guest() override;
  unsigned processors() override;
  pci::result<void> permit_memory(domain_id domain, std::uint64_t first, std::uint64_t count, bool allow) override;
  pci::result<void> permit_ports(domain_id domain, std::uint32_t first, std::uint32_t count, bool allow) override;
  pci::result<void> permit_irq(domain_id domain, std::uint32_t pirq, bool allow) override;
  pci::result<void> map_gsi(domain_id domain, std::uint32_t gsi) override;
  pci::result<bool> line_shared(std::uint32_t gsi) override;
  pci::result<void> crash(domain_id domain) override;
  pci::result<void> pause(domain_id domain) override;
  std::optional<domain_info> domain(domain_id domain) override;

private:
  links& all_;
};

class remote_pci final : public pci_host {
public:
  remote_pci(links& all, takeover& hands) : all_(all), hands_(hands) {}
  std::vector<pci::sbdf> list() override;
  std::vector<std::string> beyond_xen() override;
  std::vector<pci::reserved_region> reserved_regions() override;
  pci::result<pci::function> describe(const pci::sbdf& address) override;
  pci::result<pci::identity> identify(const pci::sbdf& address) override;
  pci::result<std::array<pci::resource, 7>> resources(const pci::sbdf& address) override;
  std::string needed_for(const pci::sbdf& address) override;
  pci::result<std::unique_ptr<pci::config_port>> open_config(const pci::sbdf& address) override;
  pci::result<std::string> driver(const pci::sbdf& address) override;
  pci::result<void> hold(const pci::sbdf& address, holder how, bool seize) override;
  pci::result<void> release(const pci::sbdf& address) override;
  pci::result<void> let_go(const pci::sbdf& address) override;
  std::string previous_driver(const pci::sbdf& address) override;
  void remember_driver(const pci::sbdf& address, const std::string& driver) override;
  std::optional<power_settings> power_before(const pci::sbdf& address) override;
  void remember_power(const pci::sbdf& address, const power_settings& before) override;
  pci::result<std::vector<pci::reset_option>> reset_options(const pci::sbdf& address) override;
  std::string boot_id() override;
  pci::result<void> reset(const pci::sbdf& address, pci::reset_method how) override;

private:
  links& all_;
  takeover& hands_;
};

class remote_lines final : public line_interrupts {
public:
  explicit remote_lines(links& all) : all_(all) {}
  pci::line_facts facts(unsigned gsi) override;
  pci::result<pci::line_counts> counts(unsigned gsi) override;
  pci::result<bool> gives_up_lines() override;
  pci::result<void> set_gives_up_lines(bool on) override;
  pci::result<void> listen(const pci::sbdf& address) override;
  void ignore(const pci::sbdf& address) override;

private:
  links& all_;
};

class remote_guards final : public removal_guards {
public:
  explicit remote_guards(links& all) : all_(all) {}
  pci::result<void> arm(const pci::sbdf& address) override;
  void release(const pci::sbdf& address) override;
  void look(const pci::sbdf& address) override;
  pci::guard_state state(const pci::sbdf& address) const override;
  std::vector<pci::sbdf> guarded() const override;

private:
  links& all_;
};

class remote_grants final : public grants {
public:
  remote_grants(links& all, takeover& hands) : all_(all), hands_(hands) {}
  pci::result<std::unique_ptr<mapped_page>> map(domain_id domain, std::uint32_t reference) override;

private:
  links& all_;
  takeover& hands_;
};

class remote_channels final : public event_channels {
public:
  remote_channels(links& all, takeover& hands) : all_(all), hands_(hands) {}
  pci::result<std::unique_ptr<event_channel>> bind_interdomain(domain_id domain, std::uint32_t remote) override;

private:
  links& all_;
  takeover& hands_;
};

class remote_records final : public records {
public:
  explicit remote_records(std::shared_ptr<links> all) : all_(std::move(all)) {}
  pci::result<std::vector<std::string>> names() override;
  pci::result<std::string> read(const std::string& name) override;
  pci::result<void> write(const std::string& name, std::string_view text) override;
  pci::result<void> remove(const std::string& name) override;
  pci::result<void> doubt(const std::string& name) override;
  bool doubted(const std::string& name) override;
  pci::result<void> set_aside(const std::string& name) override;
  pci::result<std::shared_ptr<platform::lasting_words>> lasting() override;

private:
  std::shared_ptr<links> all_;
};

} // namespace platform::remote
