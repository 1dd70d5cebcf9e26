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

namespace {

pci::result<void> no_domain(const char* call, domain_id domain) {
  return pci::fail(ESRCH, fmt::format("{}: domain {}", call, domain));
}

/// Xen would do it, and dom0's own memory, ports and lines would be the daemon's to take away.
pci::result<void> dom0s_own(const char* call) {
  violation(fmt::format("{} for domain 0: dom0's own", call));
  return pci::fail(EFAULT, call);
}

} // namespace

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

/// Xen's device_assigned and pci_reset_msix_state: who has it already, and whether it looks as after a reset.
pci::result<void> hypervisor::check_assign(domain_id domain, const function_state& function, pci::rdm_policy rdm) {
  const auto where =
      fmt::format("assign_device {} to domain {}", pci::to_string(function.hardware.model().address), domain);
  if (domain == 0)
    return pci::fail(EINVAL, where);
  if (domain != domid_io) {
    const auto* to = find(domain);
    if (to == nullptr)
      return pci::fail(ESRCH, where);
    if (to->dying)
      return pci::fail(EINVAL, where);
    if (!to->options.passthrough || to->options.kind == domain_kind::pvh)
      return pci::fail(EOPNOTSUPP, where + ": no IOMMU context");
  }
  if (function.owner != 0 && function.owner != domid_io)
    return pci::fail(EBUSY, fmt::format("{}: domain {} has it", where, function.owner));
  if ((function.hardware.msix_control() & reg::msix_mask_all) != 0)
    return pci::fail(EBUSY, where + ": MSI-X is masked");
  const auto dead = [&](const vector_mapping& vector) {
    const auto* holder = find(vector.domain);
    return holder != nullptr && holder->dying;
  };
  if (domain != domid_io && std::any_of(function.vectors.begin(), function.vectors.end(), dead))
    return pci::fail(EBUSY, where + ": a dead domain has pirqs of it");
  if (function.shares_reserved_memory && rdm == pci::rdm_policy::strict)
    return pci::fail(EPERM, where + ": it shares reserved memory");
  return {};
}

pci::result<void> hypervisor::assign(domain_id domain, const pci::sbdf& address, pci::rdm_policy rdm) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("assign_device", &address); !entered)
    return entered;
  auto& function = *find(address);
  if (auto allowed = check_assign(domain, function, rdm); !allowed)
    return allowed;
  function.host_maskall = false;
  function.owner = domain;
  return {};
}

pci::result<void> hypervisor::deassign(domain_id domain, const pci::sbdf& address) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("deassign_device", &address); !entered)
    return entered;
  auto& function = *find(address);
  if (domain == 0)
    return pci::fail(EINVAL, fmt::format("deassign_device {} from domain 0", pci::to_string(address)));
  if (domain != domid_io && find(domain) == nullptr)
    return no_domain("deassign_device", domain);
  if (domain != domid_io && !find(domain)->options.passthrough) // comes first in Xen, too
    return pci::fail(EOPNOTSUPP, fmt::format("deassign_device from domain {}: no IOMMU context", domain));
  if (function.owner != domain)
    return pci::fail(ENODEV, fmt::format("deassign_device {}: domain {} has it, not {}", pci::to_string(address),
                                         function.owner, domain));
  // What a guest has programmed the function to do to its memory would be done to dom0's (XSA-302).
  if (domain == domid_io && (function.hardware.read(reg::header_type, 1) & reg::header_layout) == 0 &&
      (function.hardware.command() & reg::command_master) != 0)
    violation(
        fmt::format("deassign_device {}: it masters the bus, dom0's memory is its own now", pci::to_string(address)));
  // iommu=quarantine is Xen's default: from a guest it goes to DOM_IO first.
  function.owner = domain == domid_io ? domain_id{0} : domid_io;
  return {};
}

pci::result<bool> hypervisor::has_guest(const pci::sbdf& address) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("test_assign_device"); !entered)
    return tl::unexpected(entered.error());
  const auto* function = find(address);
  return function == nullptr || (function->owner != 0 && function->owner != domid_io);
}

pci::result<void> hypervisor::permit_memory(domain_id domain, std::uint64_t first, std::uint64_t count, bool allow) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("iomem_permission"); !entered)
    return entered;
  auto* to = find(domain);
  if (domain == 0)
    return dom0s_own("iomem_permission");
  if (to == nullptr)
    return no_domain("iomem_permission", domain);
  if (count == 0 || first + count - 1 < first || first + count - 1 > (std::uint64_t{1} << 40))
    return pci::fail(EINVAL, fmt::format("iomem_permission: frames {:x}+{:x}", first, count));
  allow ? to->memory.add(first, count) : to->memory.remove(first, count);
  return {};
}

pci::result<void> hypervisor::permit_ports(domain_id domain, std::uint32_t first, std::uint32_t count, bool allow) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("ioport_permission"); !entered)
    return entered;
  auto* to = find(domain);
  if (domain == 0)
    return dom0s_own("ioport_permission");
  if (to == nullptr)
    return no_domain("ioport_permission", domain);
  if (count == 0 || std::uint64_t{first} + count > 0x10000)
    return pci::fail(EINVAL, fmt::format("ioport_permission: ports {:x}+{:x}", first, count));
  allow ? to->ports.add(first, count) : to->ports.remove(first, count);
  return {};
}

pci::result<void> hypervisor::permit_irq(domain_id domain, std::uint32_t pirq, bool allow) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("irq_permission"); !entered)
    return entered;
  auto* to = find(domain);
  if (domain == 0)
    return dom0s_own("irq_permission");
  if (to == nullptr)
    return no_domain("irq_permission", domain);
  if (pirq == 0 || pirq >= gsis)
    return pci::fail(EINVAL, fmt::format("irq_permission: pirq {}", pirq));
  allow ? (void)to->irqs.insert(pirq) : (void)to->irqs.erase(pirq);
  return {};
}

pci::result<void> hypervisor::map_gsi(domain_id domain, std::uint32_t gsi) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("map_pirq"); !entered)
    return entered;
  auto* to = find(domain);
  if (domain == 0)
    return dom0s_own("map_pirq");
  if (to == nullptr)
    return no_domain("map_pirq", domain);
  if (gsi == 0 || gsi >= gsis)
    return pci::fail(EINVAL, fmt::format("map_pirq: GSI {}", gsi));
  auto& mapped = to->pirqs[static_cast<std::uint16_t>(gsi)];
  mapped.is_line = true;
  return {};
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

pci::result<void> hypervisor::pause(domain_id domain) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("pausedomain"); !entered)
    return entered;
  auto* found = find(domain);
  if (found == nullptr)
    return no_domain("pausedomain", domain);
  found->paused = true;
  return {};
}

pci::result<void> hypervisor::crash(domain_id domain) {
  {
    std::lock_guard hold(mutex_);
    if (auto entered = enter("remote_shutdown"); !entered)
      return entered;
    auto* found = find(domain);
    if (found == nullptr)
      return no_domain("remote_shutdown", domain);
    found->shutdown = true;
  }
  if (when_crashed_)
    when_crashed_(domain);
  return {};
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
  return function_facts{
      found->owner,  found->prepared,          found->host_maskall,    static_cast<unsigned>(found->vectors.size()),
      found->driver, found->hardware.resets(), found->line_interrupts, found->hardware.vpd_writes()};
}

} // namespace platform::sim
