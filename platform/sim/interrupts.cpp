// SPDX-License-Identifier: GPL-2.0-or-later
// Where interrupts go, and what dom0's configuration writes come to.
#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "platform/pci_host.hpp"
#include "platform/sim/hypervisor.hpp"

namespace platform::sim {

namespace reg = pci::reg;

pci::result<void> hypervisor::bind_pirq(domain_id domain, std::uint32_t pirq) {
  std::vector<pci::sbdf> to_tell;
  {
    std::lock_guard hold(mutex_);
    const auto where = fmt::format("bind_pirq {} of domain {}", pirq, domain);
    auto* who = find(domain);
    if (who == nullptr)
      return pci::fail(ESRCH, where);
    if (pirq >= who->nr_pirqs())
      return pci::fail(EINVAL, where);
    if (who->forced.contains(static_cast<std::uint16_t>(pirq)))
      return pci::fail(EEXIST, where);
    const auto found = who->pirqs.find(static_cast<std::uint16_t>(pirq));
    if (found == who->pirqs.end())
      return pci::fail(EPERM, where); // nothing is mapped, so nothing is permitted
    if (found->second.is_line && !who->irqs.contains(pirq))
      return pci::fail(EPERM, where);
    if (found->second.bound)
      return pci::fail(EEXIST, where);
    found->second.bound = true;
    // A level line that is pulled already is seen at once.
    if (found->second.is_line)
      for (auto& [address, function] : functions_)
        if (function->asserted && function->hardware.model().irq == pirq)
          (void)evaluate_line(*function, to_tell);
  }
  tell(to_tell);
  return {};
}

void hypervisor::unbind_pirq(domain_id domain, std::uint32_t pirq) {
  std::lock_guard hold(mutex_);
  auto* who = find(domain);
  if (who == nullptr)
    return;
  who->forced.erase(static_cast<std::uint16_t>(pirq));
  if (const auto found = who->pirqs.find(static_cast<std::uint16_t>(pirq)); found != who->pirqs.end()) {
    touch(domain, found->first, found->second, "the guest closes its event channel");
    found->second.bound = false;
  }
}

std::uint64_t hypervisor::received(domain_id domain, std::uint32_t pirq) const {
  std::lock_guard hold(mutex_);
  const auto who = domains_.find(domain);
  if (who == domains_.end())
    return 0;
  const auto found = who->second.pirqs.find(static_cast<std::uint16_t>(pirq));
  return found == who->second.pirqs.end() ? 0 : found->second.received;
}

/// A message leaves the function when it masters the bus and the capability is on; it arrives when Xen has programmed
/// the vector and the guest has bound the pirq.
bool hypervisor::raise(const pci::sbdf& address, std::uint16_t entry) {
  std::lock_guard hold(mutex_);
  auto* function = find(address);
  bool arrived = false;
  if (function != nullptr && (function->hardware.command() & reg::command_master) != 0) {
    const auto control = function->hardware.msix_control();
    const bool msix = (control & reg::msix_enable) != 0;
    const bool open =
        msix ? (control & reg::msix_mask_all) == 0 : (function->hardware.msi_control() & reg::msi_enable) != 0;
    // The last mapping of an entry is the one in the table.
    const auto vector = std::find_if(function->vectors.rbegin(), function->vectors.rend(),
                                     [&](const auto& v) { return v.is_msix == msix && v.entry == entry; });
    auto* who = open && vector != function->vectors.rend() && vector->programmed ? find(vector->domain) : nullptr;
    const auto pirq = who == nullptr ? std::map<std::uint16_t, pirq_state>::iterator{} : who->pirqs.find(vector->pirq);
    if (who != nullptr && pirq != who->pirqs.end() && pirq->second.bound) {
      ++pirq->second.received;
      who->bell->ring();
      arrived = true;
    }
  }
  lost_ += arrived ? 0 : 1;
  return arrived;
}

bool hypervisor::deliver_to_guests(unsigned gsi) {
  bool arrived = false;
  for (auto& [number, who] : domains_) {
    const auto pirq = who.pirqs.find(static_cast<std::uint16_t>(gsi));
    if (pirq == who.pirqs.end() || !pirq->second.bound)
      continue;
    ++pirq->second.received;
    who.bell->ring();
    arrived = true;
  }
  return arrived;
}

namespace {

/// INTx is pending in the function, whether it is masked or not. With messages on a function does not pull its line.
bool pending(const device& hardware) {
  return (hardware.msi_control() & reg::msi_enable) == 0 && (hardware.msix_control() & reg::msix_enable) == 0;
}

} // namespace

void hypervisor::update_handler(function_state& function) {
  const auto gsi = function.hardware.model().irq;
  const bool wanted = gsi != 0 && (function.uses_line || function.driver == driver_name(holder::uio));
  auto& watch = lines_[gsi].watch;
  // Another driver installs a handler of its own.
  if (std::exchange(function.has_handler, wanted))
    watch.remove_handler();
  if (wanted)
    watch.add_handler(noirqdebug_);
}

/// uio's handler claims when the function's status says so, masked or not, and masks INTx (pci_check_and_mask_intx); a
/// driver claims when its function pulls.
bool hypervisor::run_handler(function_state& function, std::vector<pci::sbdf>& to_tell) {
  if (!function.has_handler || !function.asserted || !pending(function.hardware))
    return false;
  if (function.driver == driver_name(holder::uio)) {
    function.hardware.set_command(reg::command_intx_disable, 0);
    if (function.listening)
      to_tell.push_back(function.hardware.model().address);
    return true;
  }
  if ((function.hardware.command() & reg::command_intx_disable) != 0)
    return false;
  ++function.line_interrupts;
  return true;
}

bool hypervisor::deliver_to_dom0(unsigned gsi, std::vector<pci::sbdf>& to_tell) {
  auto& line = lines_[gsi];
  if (line.watch.disabled() || !line.watch.bound())
    return false;
  ++line.delivered;
  bool claimed = false;
  for (auto& [address, function] : functions_)
    if (function->hardware.model().irq == gsi)
      claimed = run_handler(*function, to_tell) || claimed;
  line.watch.note(claimed, time_ == nullptr ? clock::duration{0} : time_->now());
  return claimed;
}

bool hypervisor::evaluate_line(function_state& function, std::vector<pci::sbdf>& to_tell, bool guest_first) {
  const auto& hardware = function.hardware;
  const auto gsi = hardware.model().irq;
  if (gsi == 0 || !function.asserted || (hardware.command() & reg::command_intx_disable) != 0 || !pending(hardware))
    return false;
  const bool guests = deliver_to_guests(gsi);
  function.asserted = !guest_first;
  return deliver_to_dom0(gsi, to_tell) || guests;
}

pci::result<bool> hypervisor::line_shared(std::uint32_t gsi) {
  std::lock_guard hold(mutex_);
  if (auto entered = enter("irq_status_query"); !entered)
    return tl::unexpected(entered.error());
  if (gsi >= gsis)
    return pci::fail(EINVAL, fmt::format("irq_status_query: {}", gsi));
  const auto line = lines_.find(gsi);
  unsigned bound = line != lines_.end() && line->second.watch.bound() ? 1 : 0;
  for (const auto& [number, who] : domains_) {
    const auto pirq = who.pirqs.find(static_cast<std::uint16_t>(gsi));
    bound += pirq != who.pirqs.end() && pirq->second.is_line && pirq->second.bound ? 1 : 0;
  }
  return bound > 1;
}

bool hypervisor::raise_intx(const pci::sbdf& address, bool guest_first) {
  std::vector<pci::sbdf> to_tell;
  bool arrived = false;
  {
    std::lock_guard hold(mutex_);
    if (auto* function = find(address); function != nullptr && function->hardware.model().irq != 0) {
      function->asserted = true;
      function->hardware.force_word(reg::status, reg::status_interrupt, 0);
      arrived = evaluate_line(*function, to_tell, guest_first);
    }
    lost_ += arrived ? 0 : 1;
  }
  tell(to_tell);
  return arrived;
}

void hypervisor::lower_intx(const pci::sbdf& address) {
  std::lock_guard hold(mutex_);
  if (auto* function = find(address)) {
    function->asserted = false;
    function->hardware.force_word(reg::status, 0, reg::status_interrupt);
  }
}

void hypervisor::tell(const std::vector<pci::sbdf>& lines) {
  if (lines.empty())
    return;
  {
    std::lock_guard hold(claimed_mutex_);
    claimed_.insert(lines.begin(), lines.end());
  }
  claimed_bell_.ring();
}

std::vector<pci::sbdf> hypervisor::take_claimed() {
  std::lock_guard hold(claimed_mutex_);
  std::vector<pci::sbdf> all(claimed_.begin(), claimed_.end());
  claimed_.clear();
  return all;
}

bool hypervisor::any_claimed() const {
  std::lock_guard hold(claimed_mutex_);
  return !claimed_.empty();
}

line_counters hypervisor::line(unsigned gsi) const {
  std::lock_guard hold(mutex_);
  const auto found = lines_.find(gsi);
  if (found == lines_.end())
    return {};
  const auto& [watch, delivered] = found->second;
  return {.delivered = delivered, .unhandled = watch.counts().unhandled, .disabled = watch.disabled()};
}

/// pci_msi_conf_write_intercept: false when Xen drops the write of a PV dom0.
bool hypervisor::filter(const function_state& function, std::uint16_t offset, unsigned width, std::uint32_t& value) {
  const auto& hardware = function.hardware;
  if (const auto at = hardware.msix(); at != 0 && offset >= at && offset < at + reg::msix_pba + 4) {
    if (offset != at + reg::message_control || width != 2)
      return false;
    if (function.host_maskall)
      value |= reg::msix_mask_all;
    return true;
  }
  const auto msi = hardware.msi();
  const auto mapped = std::any_of(function.vectors.begin(), function.vectors.end(), [](auto& v) { return !v.is_msix; });
  if (msi == 0 || !mapped || (hardware.msi_control() & reg::msi_maskable) == 0)
    return true;
  const auto mask = msi + ((hardware.msi_control() & reg::msi_64) != 0 ? 16U : 12U);
  if (offset < msi || offset >= mask + 4)
    return true;
  return offset == msi + reg::message_control ? width == 2 : offset == mask && width == 4;
}

namespace {

bool aligned(std::uint16_t offset, unsigned width, std::size_t size) {
  return (width == 1 || width == 2 || width == 4) && offset % width == 0 && offset + width <= size;
}

} // namespace

pci::result<std::uint32_t> hypervisor::config_read(const pci::sbdf& address, std::uint64_t serial, std::uint16_t offset,
                                                   unsigned width) {
  std::lock_guard hold(mutex_);
  ++config_accesses_;
  auto* function = find(address);
  if (function == nullptr || (serial != 0 && serial != function->serial))
    return pci::fail(ENODEV, fmt::format("{}: configuration space", pci::to_string(address)));
  if (!aligned(offset, width, function->hardware.config_size()))
    return pci::fail(EINVAL, fmt::format("{}: {} bytes at {:#x}", pci::to_string(address), width, offset));
  if (function->dead || function->mute != 0) {
    function->mute -= function->mute != 0 ? 1 : 0;
    return width >= 4 ? 0xffffffffU : (1U << (8 * width)) - 1;
  }
  return function->hardware.read(offset, width);
}

pci::result<void> hypervisor::config_write(const pci::sbdf& address, std::uint64_t serial, std::uint16_t offset,
                                           unsigned width, std::uint32_t value) {
  std::vector<pci::sbdf> to_tell;
  {
    std::lock_guard hold(mutex_);
    ++config_accesses_;
    auto* function = find(address);
    if (function == nullptr || (serial != 0 && serial != function->serial))
      return pci::fail(ENODEV, fmt::format("{}: configuration space", pci::to_string(address)));
    if (!aligned(offset, width, function->hardware.config_size()))
      return pci::fail(EINVAL, fmt::format("{}: {} bytes at {:#x}", pci::to_string(address), width, offset));
    const auto& broken = failing_write_;
    if (broken.error != 0 && broken.address == address && offset <= broken.offset && broken.offset < offset + width)
      return pci::fail(broken.error, fmt::format("{}: write at {:#x}", pci::to_string(address), offset));
    if (!filter(*function, offset, width, value))
      return {};
    if (function->dead)
      return {};
    const auto resets = function->hardware.resets();
    const bool slept = function->hardware.sleeps();
    function->hardware.write(offset, width, value);
    if (slept && !function->hardware.sleeps())
      function->mute = function->mute_after_wake;
    if (function->hardware.resets() != resets)
      message_reset(*function);
    // INTx may have been let through again while the function still pulls.
    if (function->asserted)
      (void)evaluate_line(*function, to_tell);
  }
  tell(to_tell);
  return {};
}

} // namespace platform::sim
