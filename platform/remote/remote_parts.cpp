// SPDX-License-Identifier: GPL-2.0-or-later
// Each call of the host's interface is one request.
#include "platform/remote/remote_parts.hpp"

#include "platform/linux/word_file.hpp"

namespace platform::remote {

// -- hypervisor

pci::result<std::uint16_t> remote_hypervisor::map_msi(domain_id domain, const pci::sbdf& address) {
  return all_.ask<of::map_msi>(domain, address);
}
pci::result<std::uint16_t> remote_hypervisor::map_msix(domain_id domain, const pci::sbdf& address, std::uint16_t entry,
                                                       std::uint64_t table_base) {
  return all_.ask<of::map_msix>(domain, address, entry, table_base);
}
pci::result<void> remote_hypervisor::unmap_pirq(domain_id domain, std::uint16_t pirq) {
  return all_.ask<of::unmap_pirq>(domain, pirq);
}
pci::result<void> remote_hypervisor::prepare_msix(const msix_function& function) {
  return all_.ask<of::prepare_msix>(function.address());
}
pci::result<void> remote_hypervisor::release_msix(const msix_function& function) {
  return all_.ask<of::release_msix>(function.address());
}
pci::result<void> remote_hypervisor::restore_msi(const restorable_function& function) {
  return all_.ask<of::restore_msi>(function.address());
}
pci::result<void> remote_hypervisor::assign(domain_id domain, const pci::sbdf& address, pci::rdm_policy rdm) {
  return all_.ask<of::assign>(domain, address, rdm);
}
pci::result<void> remote_hypervisor::deassign(domain_id domain, const pci::sbdf& address) {
  return all_.ask<of::deassign>(domain, address);
}
pci::result<bool> remote_hypervisor::has_guest(const pci::sbdf& address) { return all_.ask<of::has_guest>(address); }
// Xen's own default, and one processor, as of a Xen that does not tell.
unsigned remote_hypervisor::vectors_a_guest() { return all_.ask<of::vectors_a_guest>().value_or(extra_guest_irqs("")); }
unsigned remote_hypervisor::processors() { return all_.ask<of::processors>().value_or(1U); }
pci::result<void> remote_hypervisor::permit_memory(domain_id domain, std::uint64_t first, std::uint64_t count,
                                                   bool allow) {
  return all_.ask<of::permit_memory>(domain, first, count, allow);
}
pci::result<void> remote_hypervisor::permit_ports(domain_id domain, std::uint32_t first, std::uint32_t count,
                                                  bool allow) {
  return all_.ask<of::permit_ports>(domain, first, count, allow);
}
pci::result<void> remote_hypervisor::permit_irq(domain_id domain, std::uint32_t pirq, bool allow) {
  return all_.ask<of::permit_irq>(domain, pirq, allow);
}
pci::result<void> remote_hypervisor::map_gsi(domain_id domain, std::uint32_t gsi) {
  return all_.ask<of::map_gsi>(domain, gsi);
}
pci::result<bool> remote_hypervisor::line_shared(std::uint32_t gsi) { return all_.ask<of::line_shared>(gsi); }
pci::result<void> remote_hypervisor::crash(domain_id domain) { return all_.ask<of::crash>(domain); }
pci::result<void> remote_hypervisor::pause(domain_id domain) { return all_.ask<of::pause>(domain); }
// A guest is not taken for dead because nobody could be asked.
std::optional<domain_info> remote_hypervisor::domain(domain_id domain) {
  return all_.ask<of::domain>(domain).value_or(domain_info{});
}

// -- functions

std::vector<pci::sbdf> remote_pci::list() { return all_.ask<of::list>().value_or(std::vector<pci::sbdf>{}); }
std::vector<std::string> remote_pci::beyond_xen() {
  return all_.ask<of::beyond_xen>().value_or(std::vector<std::string>{});
}
std::vector<pci::reserved_region> remote_pci::reserved_regions() {
  return all_.ask<of::reserved_regions>().value_or(std::vector<pci::reserved_region>{});
}
pci::result<pci::function> remote_pci::describe(const pci::sbdf& address) { return all_.ask<of::describe>(address); }
pci::result<pci::identity> remote_pci::identify(const pci::sbdf& address) { return all_.ask<of::identify>(address); }
pci::result<std::array<pci::resource, 7>> remote_pci::resources(const pci::sbdf& address) {
  return all_.ask<of::resources>(address);
}
std::string remote_pci::needed_for(const pci::sbdf& address) {
  const auto use = all_.ask<of::needed_for>(address);
  return use ? *use : "may carry what dom0 runs from, which cannot be found out: " + pci::to_string(use.error());
}
pci::result<std::unique_ptr<pci::config_port>> remote_pci::open_config(const pci::sbdf& address) {
  return all_.ask_for_descriptor<of::open_config>(address).and_then(
      [&](handed&& what) { return hands_.config(std::move(what), pci::to_string(address)); });
}
pci::result<std::string> remote_pci::driver(const pci::sbdf& address) { return all_.ask<of::driver>(address); }
pci::result<void> remote_pci::hold(const pci::sbdf& address, holder how, bool seize) {
  return all_.ask<of::hold>(address, how, seize);
}
pci::result<void> remote_pci::release(const pci::sbdf& address) { return all_.ask<of::release>(address); }
pci::result<void> remote_pci::let_go(const pci::sbdf& address) { return all_.ask<of::let_go>(address); }
std::string remote_pci::previous_driver(const pci::sbdf& address) {
  return all_.ask<of::previous_driver>(address).value_or(std::string{});
}
void remote_pci::remember_driver(const pci::sbdf& address, const std::string& driver) {
  static_cast<void>(all_.ask<of::remember_driver>(address, driver));
}
pci::result<std::vector<pci::reset_option>> remote_pci::reset_options(const pci::sbdf& address) {
  return all_.ask<of::reset_options>(address);
}
std::string remote_pci::boot_id() { return all_.ask<of::boot_id>().value_or(std::string{}); }
pci::result<void> remote_pci::reset(const pci::sbdf& address, pci::reset_method how) {
  return all_.ask<of::reset>(address, how);
}

// -- lines and guards

// As of a line that dom0 knows nothing of: the function is not given to a guest together with others.
pci::line_facts remote_lines::facts(unsigned gsi) {
  return all_.ask<of::line_facts>(gsi).value_or(pci::line_facts{.gsi = gsi});
}
pci::result<pci::line_counts> remote_lines::counts(unsigned gsi) { return all_.ask<of::line_counts>(gsi); }
pci::result<bool> remote_lines::gives_up_lines() { return all_.ask<of::gives_up_lines>(); }
pci::result<void> remote_lines::set_gives_up_lines(bool on) { return all_.ask<of::set_gives_up_lines>(on); }
pci::result<void> remote_lines::listen(const pci::sbdf& address) { return all_.ask<of::listen>(address); }
void remote_lines::ignore(const pci::sbdf& address) { static_cast<void>(all_.ask<of::ignore>(address)); }

pci::result<void> remote_guards::arm(const pci::sbdf& address) { return all_.ask<of::arm_guard>(address); }
void remote_guards::release(const pci::sbdf& address) { static_cast<void>(all_.ask<of::release_guard>(address)); }
void remote_guards::look(const pci::sbdf& address) { static_cast<void>(all_.ask<of::look_at_guard>(address)); }
pci::guard_state remote_guards::state(const pci::sbdf& address) const {
  return all_.ask<of::guard_state>(address).value_or(pci::guard_state::unguarded);
}
std::vector<pci::sbdf> remote_guards::guarded() const {
  return all_.ask<of::guarded>().value_or(std::vector<pci::sbdf>{});
}

// -- what is used without asking, once it is there

pci::result<std::unique_ptr<mapped_page>> remote_grants::map(domain_id domain, std::uint32_t reference) {
  return all_.ask_for_descriptor<of::map_page>(domain, reference).and_then([&](handed&& what) {
    return hands_.page(std::move(what));
  });
}
pci::result<std::unique_ptr<event_channel>> remote_channels::bind_interdomain(domain_id domain, std::uint32_t remote) {
  return all_.ask_for_descriptor<of::bind_channel>(domain, remote).and_then([&](handed&& what) {
    return hands_.channel(std::move(what));
  });
}

// -- records

pci::result<std::vector<std::string>> remote_records::names() { return all_->ask<of::record_names>(); }
pci::result<std::string> remote_records::read(const std::string& name) { return all_->ask<of::read_record>(name); }
pci::result<void> remote_records::write(const std::string& name, std::string_view text) {
  return all_->ask<of::write_record>(name, std::string(text));
}
pci::result<void> remote_records::remove(const std::string& name) { return all_->ask<of::remove_record>(name); }
pci::result<void> remote_records::doubt(const std::string& name) { return all_->ask<of::doubt_record>(name); }
bool remote_records::doubted(const std::string& name) { return all_->ask<of::is_doubted>(name).value_or(true); }
pci::result<void> remote_records::set_aside(const std::string& name) { return all_->ask<of::set_record_aside>(name); }
pci::result<std::shared_ptr<platform::lasting_words>> remote_records::lasting() {
  return all_->ask_for_descriptor<of::lasting_words>().and_then(
      [](const handed& what) { return linux_host::map_word_file(what.file); });
}

} // namespace platform::remote
