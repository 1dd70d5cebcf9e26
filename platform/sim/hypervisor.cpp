// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/hypervisor.hpp"

#include <algorithm>
#include <cerrno>
#include <thread>

#include <sched.h>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "platform/sim/violation.hpp"

namespace platform::sim {

namespace reg = pci::reg;

auto hypervisor::find(const pci::sbdf& address) -> function_state* {
  const auto found = functions_.find(address);
  return found == functions_.end() ? nullptr : found->second.get();
}

auto hypervisor::find(const pci::sbdf& address) const -> const function_state* {
  const auto found = functions_.find(address);
  return found == functions_.end() ? nullptr : found->second.get();
}

auto hypervisor::find(domain_id domain) -> domain_state* {
  const auto found = domains_.find(domain);
  return found == domains_.end() ? nullptr : &found->second;
}

pci::result<void> hypervisor::enter(const char* call, const pci::sbdf* address) {
  ++hypercalls_;
  if (next_failure_ != 0 && failure_skip_-- == 0)
    return pci::fail(std::exchange(next_failure_, 0), call);
  if (no_iommu_ && std::string_view{call}.ends_with("assign_device")) // deassign_ and test_assign_device as well
    return pci::fail(EOPNOTSUPP, call);
  if (failing_call_.second != 0 && failing_call_.first == call)
    return pci::fail(failing_call_.second, call);
  if (address != nullptr && find(*address) == nullptr)
    return pci::fail(ENODEV, fmt::format("{} {}", call, pci::to_string(*address)));
  return {};
}

void hypervisor::fail_next(int error, unsigned skip) {
  std::lock_guard hold(mutex_);
  next_failure_ = error;
  failure_skip_ = skip;
}

void hypervisor::fail_call(std::string name, int error) {
  std::lock_guard hold(mutex_);
  failing_call_ = {std::move(name), error};
}

void hypervisor::drive_no_iommu(bool none) {
  std::lock_guard hold(mutex_);
  no_iommu_ = none;
}

void hypervisor::fail_config_write(const pci::sbdf& address, std::uint16_t offset, int error) {
  std::lock_guard hold(mutex_);
  failing_write_ = {address, offset, error};
}

void hypervisor::mute(const pci::sbdf& address, unsigned reads) {
  std::lock_guard hold(mutex_);
  if (auto* found = find(address))
    found->mute = reads;
}

void hypervisor::mute_after_wake(const pci::sbdf& address, unsigned reads) {
  std::lock_guard hold(mutex_);
  if (auto* found = find(address))
    found->mute_after_wake = reads;
}

void hypervisor::grow_msix(const pci::sbdf& address) {
  std::lock_guard hold(mutex_);
  if (auto* found = find(address))
    found->hardware.grow_msix();
}

void hypervisor::set_register(const pci::sbdf& address, std::uint16_t offset, unsigned width, std::uint32_t value) {
  std::lock_guard hold(mutex_);
  if (auto* found = find(address))
    found->hardware.force(offset, width, value);
}

unsigned hypervisor::processors() {
  cpu_set_t all;
  return ::sched_getaffinity(0, sizeof all, &all) == 0 ? static_cast<unsigned>(CPU_COUNT(&all)) : 1;
}

void hypervisor::slow_down(const pci::sbdf& address, std::chrono::nanoseconds access) {
  std::lock_guard hold(mutex_);
  slow_[address] = access;
  any_slow_ = true;
}

void hypervisor::take_access_time(const pci::sbdf& address) {
  if (!any_slow_)
    return;
  std::unique_lock hold(mutex_);
  const auto found = slow_.find(address);
  const auto time = found == slow_.end() ? std::chrono::nanoseconds{0} : found->second;
  hold.unlock();
  std::this_thread::sleep_for(time);
}

void hypervisor::stick(const pci::sbdf& address, std::uint16_t offset, std::uint16_t bits) {
  std::lock_guard hold(mutex_);
  if (auto* found = find(address))
    found->hardware.stick(offset, bits);
}

void hypervisor::share_reserved_memory(const pci::sbdf& address) {
  std::lock_guard hold(mutex_);
  if (auto* found = find(address))
    found->shares_reserved_memory = true;
}

std::optional<domain_info> hypervisor::domain(domain_id domain) {
  std::lock_guard hold(mutex_);
  ++hypercalls_;
  if (domain == 0)
    return domain_info{};
  const auto* found = find(domain);
  if (found == nullptr)
    return std::nullopt;
  return domain_info{found->dying, found->shutdown, found->paused, found->options.kind != domain_kind::pv};
}

void hypervisor::add_domain(domain_id domain, const domain_options& options, std::shared_ptr<doorbell> bell) {
  std::lock_guard hold(mutex_);
  auto& fresh = domains_[domain];
  fresh.options = options;
  fresh.bell = std::move(bell);
}

void hypervisor::shut_down(domain_id domain) {
  std::lock_guard hold(mutex_);
  if (auto* found = find(domain))
    found->shutdown = true;
}

void hypervisor::pause(domain_id domain, bool paused) {
  std::lock_guard hold(mutex_);
  if (auto* found = find(domain))
    found->paused = paused;
}

void hypervisor::kill(domain_id domain) {
  std::lock_guard hold(mutex_);
  auto* found = find(domain);
  if (found == nullptr)
    return;
  found->dying = true;
  for (auto& [number, pirq] : found->pirqs) {
    touch(domain, number, pirq, "destroying the domain");
    pirq.bound = false;
  }
  // The IOMMU context goes to quarantine; MSI-X Enable and bus mastering stay as the guest left them.
  for (auto& [address, function] : functions_)
    if (function->owner == domain)
      function->owner = domid_io;
}

void hypervisor::finish(domain_id domain) {
  std::lock_guard hold(mutex_);
  const auto* found = find(domain);
  if (found == nullptr || !found->dying)
    return;
  for (auto& [address, function] : functions_) {
    for (const auto& vector : function->vectors)
      if (vector.domain == domain)
        release_vector(*function, vector);
    std::erase_if(function->vectors, [&](const auto& vector) { return vector.domain == domain; });
  }
  domains_.erase(domain);
}

bool hypervisor::may_access(domain_id domain, std::uint64_t frame) const {
  std::lock_guard hold(mutex_);
  const auto found = domains_.find(domain);
  return found != domains_.end() && found->second.memory.contains(frame);
}

void hypervisor::add_function(device_model model) {
  std::lock_guard hold(mutex_);
  const auto address = model.address;
  auto fresh = std::make_unique<function_state>(std::move(model), next_serial_++);
  fresh->had_msix = fresh->hardware.msix() != 0;
  functions_[address] = std::move(fresh);
}

bool hypervisor::remove_function(const pci::sbdf& address) {
  std::lock_guard hold(mutex_);
  const auto found = functions_.find(address);
  if (found == functions_.end())
    return false;
  if (found->second->has_handler)
    lines_[found->second->hardware.model().irq].watch.remove_handler();
  for (const auto& vector : found->second->vectors)
    if (auto* who = find(vector.domain))
      if (const auto pirq = who->pirqs.find(vector.pirq); pirq != who->pirqs.end())
        pirq->second.destroyed = true;
  functions_.erase(found);
  return true;
}

/// Once: the host is dead then.
void hypervisor::touch(domain_id domain, std::uint16_t number, const pirq_state& pirq, const char* where) {
  if (pirq.destroyed)
    violation(fmt::format("{}: pirq {} of domain {} is of {}, which was removed: Xen panics, BUG at irq.c", where,
                          number, domain, pci::to_string(pirq.function)));
}

bool hypervisor::unbind_driver(const pci::sbdf& address) {
  std::lock_guard hold(mutex_);
  auto* found = find(address);
  if (found == nullptr || found->driver.empty())
    return false;
  found->driver.clear();
  found->uses_line = false;
  found->listening = false;
  update_handler(*found);
  return true;
}

std::vector<pci::sbdf> hypervisor::functions() const {
  std::lock_guard hold(mutex_);
  std::vector<pci::sbdf> all;
  for (const auto& [address, function] : functions_)
    all.push_back(address);
  std::sort(all.begin(), all.end());
  return all;
}

domain_holdings hypervisor::holdings(domain_id domain) const {
  std::lock_guard hold(mutex_);
  domain_holdings held;
  for (const auto& [address, function] : functions_)
    if (function->owner == domain)
      held.functions.push_back(address);
  std::sort(held.functions.begin(), held.functions.end());
  const auto found = domains_.find(domain);
  if (found == domains_.end())
    return held;
  for (const auto& [number, pirq] : found->second.pirqs)
    (pirq.is_line ? held.line_pirqs : held.message_pirqs).push_back(number);
  held.frames = found->second.memory.size();
  held.ports = found->second.ports.size();
  held.irqs.assign(found->second.irqs.begin(), found->second.irqs.end());
  return held;
}

std::optional<function_facts> hypervisor::facts(const pci::sbdf& address) const {
  std::lock_guard hold(mutex_);
  const auto* found = find(address);
  if (found == nullptr)
    return std::nullopt;
  return function_facts{found->owner,
                        found->prepared,
                        found->host_maskall,
                        static_cast<unsigned>(found->vectors.size()),
                        found->driver,
                        found->hardware.resets(),
                        found->line_interrupts,
                        found->hardware.vpd_writes(),
                        found->hardware.sleeps(),
                        found->enabled,
                        found->suspends,
                        found->loses_power};
}

} // namespace platform::sim
