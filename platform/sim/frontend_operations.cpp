// SPDX-License-Identifier: GPL-2.0-or-later
// Operations over the shared page, and interrupts.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "platform/sim/frontend.hpp"

namespace platform::sim {

namespace reg = pci::reg;
namespace wire = pci::wire;

namespace {

std::uint32_t mask_of(std::int32_t size) { return size == 4 ? 0xffffffff : (1U << (8 * size)) - 1; }

} // namespace

void frontend::set_flags(std::uint32_t set, std::uint32_t clear) {
  std::atomic_ref flags(shared().flags);
  if (set != 0)
    flags.fetch_or(set);
  if (clear != 0)
    flags.fetch_and(~clear);
}

std::uint32_t frontend::flags() { return std::atomic_ref(shared().flags).load(); }

void frontend::kick() { (void)host_->channels().send(domain_, port_); }

wire::operation frontend::make(pci::op_code code, const pci::sbdf& function) const {
  wire::operation what{};
  what.cmd = static_cast<std::uint32_t>(code);
  what.domain = function.segment;
  what.bus = function.bus;
  what.devfn = function.devfn;
  return what;
}

void frontend::post(const wire::operation& what) {
  std::memcpy(&shared().op, &what, sizeof what);
  set_flags(wire::frontend_active);
}

/// NetBSD spins on the flag, mini-os looks at it whenever it is woken. Who never gives up hangs, and here that is the
/// end of the test.
bool frontend::wait_for_flag() {
  const auto answered = [&] { return (flags() & wire::frontend_active) == 0; };
  if (wait_->wait_until(answered, hang_limit))
    return true;
  panic(fmt::format("domain {}: the guest hangs: an operation is not answered", domain_));
  return false;
}

/// Linux waits for the event, not for the flag, and looks at its watch before it looks at the flag: an answer without a
/// notification is a time-out. True: answered.
bool frontend::wait_for_answer() {
  if (!habits_->gives_up)
    return wait_for_flag();
  const auto begin = host_->time().now();
  while ((flags() & wire::frontend_active) != 0) {
    (void)wait_->wait_until([&] { return pending_ == nullptr || pending_->load(); }, poll_limit);
    if (pending_ != nullptr)
      *pending_ = false;
    if (host_->time().now() - begin > patience_)
      return false;
  }
  return true;
}

std::optional<pci::sbdf> frontend::listed(const char* node, int index) {
  const auto text = host_->store_daemon().for_domain(domain_).read(fmt::format("{}/{}-{}", backend_path_, node, index));
  const auto address = pci::parse_node_sbdf(text.value_or(""));
  return address ? std::optional(*address) : std::nullopt;
}

/// mini-os's pcifront_physical_to_virtual: the nodes are read for each operation.
bool frontend::translate(wire::operation& what) {
  const auto devices = published("num_devs");
  for (int i = 0; i < devices; ++i) {
    const auto host = listed("dev", i);
    if (!host || host->segment != what.domain || host->bus != what.bus || host->devfn != what.devfn)
      continue;
    const auto seen = listed("vdev", i);
    if (!seen)
      return false;
    what.domain = seen->segment;
    what.bus = seen->bus;
    what.devfn = seen->devfn;
    return true;
  }
  return false;
}

reply frontend::perform(wire::operation what) {
  if (habits_->host_addresses && !translate(what)) {
    reply unknown;
    unknown.error = static_cast<std::int32_t>(pci::op_error::dev_not_found);
    return unknown;
  }
  ++operations_;
  post(what);
  kick();
  if (pending_ != nullptr)
    *pending_ = false;
  if (wait_for_answer())
    return collect(what, false);
  ++timeouts_;
  if (habits_->gives_up)
    set_flags(0, wire::frontend_active); // "pciback not responding!!!"
  return collect(what, true);
}

reply frontend::collect(const wire::operation& what, bool timed_out) {
  reply answer;
  answer.timed_out = timed_out;
  if (timed_out) {
    answer.error = static_cast<std::int32_t>(pci::op_error::dev_not_found);
    answer.value = 0xffffffff;
    return answer;
  }
  wire::operation op;
  std::memcpy(&op, &shared().op, sizeof op);
  answer.error = op.err;
  answer.value = op.value;
  if (what.cmd == static_cast<std::uint32_t>(pci::op_code::enable_msix) && op.err == 0)
    for (std::uint32_t i = 0; i < std::min(what.value, wire::max_vectors); ++i)
      answer.vectors.push_back(op.msix_entries[i].vector);
  if ((flags() & wire::backend_active) != 0)
    (void)service_aer();
  return answer;
}

reply frontend::read(const pci::sbdf& function, std::int32_t offset, std::int32_t size) {
  auto what = make(pci::op_code::conf_read, function);
  what.offset = habits_->dwords_only ? offset & ~3 : offset;
  what.size = habits_->dwords_only ? 4 : size;
  auto answer = perform(what);
  if (habits_->dwords_only)
    answer.value = answer.value >> (8 * (offset & 3)) & mask_of(size);
  return answer;
}

reply frontend::write(const pci::sbdf& function, std::int32_t offset, std::int32_t size, std::uint32_t value) {
  auto what = make(pci::op_code::conf_write, function);
  what.offset = offset;
  what.size = size;
  what.value = value;
  if (habits_->dwords_only && size != 4) {
    // Its drivers know dwords only: STATUS is written with COMMAND, as it was read.
    const auto shift = 8 * (offset & 3);
    const auto old = read(function, offset & ~3, 4);
    what.offset = offset & ~3;
    what.size = 4;
    what.value = (old.value & ~(mask_of(size) << shift)) | (value & mask_of(size)) << shift;
  }
  return perform(what);
}

/// What the caller of a kernel's accessor sees: all ones after an error; NetBSD does not look at errors.
std::uint32_t frontend::value(const pci::sbdf& function, std::int32_t offset, std::int32_t size) {
  const auto answer = read(function, offset, size);
  return (answer.good() || kind_ == flavour::netbsd ? answer.value : 0xffffffff) & mask_of(size);
}

void frontend::set_intx_disable(const pci::sbdf& function, bool disable) {
  const auto old = value(function, reg::command, 2);
  const auto next = disable ? old | reg::command_intx_disable : old & ~std::uint32_t{reg::command_intx_disable};
  if (next != old)
    (void)write(function, reg::command, 2, next);
}

void frontend::change_control(const pci::sbdf& function, std::uint8_t capability, std::uint16_t set,
                              std::uint16_t clear) {
  const auto* seen = find(function);
  if (seen == nullptr || !seen->capabilities.contains(capability))
    return;
  const auto at = seen->capabilities.at(capability) + reg::message_control;
  const auto old = value(function, at, 2);
  (void)write(function, at, 2, (old & ~std::uint32_t{clear}) | set); // refused or not, the guest goes on
}

reply frontend::enable_msi(const pci::sbdf& function) {
  change_control(function, reg::cap_msi, 0, reg::msi_enable);
  auto answer = perform(make(pci::op_code::enable_msi, function));
  if (!answer.good())
    return answer;
  if (answer.value == 0) {
    answer.error = -EINVAL;
    return answer;
  }
  const auto pirq = static_cast<std::uint16_t>(answer.value);
  if (!bind_pirq(pirq))
    answer.error = -EINVAL;
  pirqs_[function] = {pirq};
  set_intx_disable(function, true);
  change_control(function, reg::cap_msi, reg::msi_enable, 0);
  return answer;
}

reply frontend::enable_msix(const pci::sbdf& function, const std::vector<std::uint16_t>& entries) {
  change_control(function, reg::cap_msix, reg::msix_enable | reg::msix_mask_all, 0);
  auto what = make(pci::op_code::enable_msix, function);
  what.value = static_cast<std::uint32_t>(entries.size());
  for (std::size_t i = 0; i < std::min<std::size_t>(entries.size(), wire::max_vectors); ++i)
    what.msix_entries[i].entry = entries[i];
  auto answer = perform(what);
  if (!answer.good())
    return answer;
  if (answer.value != 0 || std::find(answer.vectors.begin(), answer.vectors.end(), 0) != answer.vectors.end()) {
    answer.error = -EINVAL;
    return answer;
  }
  for (const auto pirq : answer.vectors)
    if (!bind_pirq(pirq))
      answer.error = -EINVAL;
  pirqs_[function] = answer.vectors;
  set_intx_disable(function, true);
  change_control(function, reg::cap_msix, 0, reg::msix_mask_all);
  return answer;
}

reply frontend::disable(const pci::sbdf& function, pci::op_code with) {
  set_intx_disable(function, false);
  auto answer = perform(make(with, function));
  if (const auto bound = pirqs_.find(function); bound != pirqs_.end()) {
    for (const auto pirq : bound->second)
      unbind_pirq(pirq);
    pirqs_.erase(bound);
  }
  return answer;
}

pci::result<void> frontend::bind_pirq(std::uint32_t pirq) { return host_->xen().bind_pirq(domain_, pirq); }
void frontend::unbind_pirq(std::uint32_t pirq) { host_->xen().unbind_pirq(domain_, pirq); }
std::uint64_t frontend::interrupts(std::uint32_t pirq) const { return host_->xen().received(domain_, pirq); }

const std::vector<std::uint16_t>& frontend::pirqs(const pci::sbdf& function) const {
  static const std::vector<std::uint16_t> none;
  const auto found = pirqs_.find(function);
  return found == pirqs_.end() ? none : found->second;
}

/// Spec 8.5: the answer goes into aer_op.err, then the flag is cleared and the backend notified.
bool frontend::service_aer() {
  const bool active = (flags() & wire::backend_active) != 0;
  if (!active)
    aer_kept_ = false; // the backend has given up on what the driver keeps
  if (!habits_->answers_aer || !active || handling_aer_ || aer_kept_)
    return false;
  const auto request = shared().aer_op;
  aer_requests_.push_back(request.cmd);
  handling_aer_ = true; // its operations find the flag set, and do not begin again
  const auto result = answer_aer(request);
  handling_aer_ = false;
  aer_kept_ = !result;
  if (!result)
    return false;
  shared().aer_op.err = *result;
  set_flags(0, wire::backend_active);
  kick();
  return true;
}

std::optional<std::int32_t> frontend::answer_aer(const wire::aer_operation& request) const {
  constexpr std::int32_t none = 1;
  if (aer_driver_)
    return aer_driver_(request);
  return request.cmd == static_cast<std::uint32_t>(pci::op_code::aer_resume) ? none : aer_result_;
}

} // namespace platform::sim
