// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/interrupts/message_interrupts.hpp"

#include <bitset>
#include <cerrno>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "pci/config_space/answered.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/protocol/shared_page.hpp"

namespace pci {
namespace {

result<std::uint32_t> update(config_port& port, unsigned offset, std::uint32_t clear, std::uint32_t set) {
  return update_control(port, static_cast<std::uint16_t>(offset), clear, set);
}

/// Runs steps to the end, whatever becomes of each, and keeps the first failure.
class all_steps {
public:
  template <class T>
  bool take(const result<T>& step) {
    if (!step && first_)
      first_ = tl::unexpected(step.error());
    return step.has_value();
  }
  [[nodiscard]] result<void> outcome() { return std::move(first_); }

private:
  result<void> first_;
};

/// Xen takes the same entry twice, and gives two pirqs for it: that it happens once is for us to see to.
result<void> check_entries(const request& what, const msix_capability& msix) {
  if (what.value == 0 || what.value > wire::max_vectors || what.entries.size() != what.value)
    return fail(EINVAL, fmt::format("MSI-X for {} vectors: 1 to {} are possible", what.value, wire::max_vectors));
  std::bitset<std::size_t{reg::msix_table_size} + 1> seen;
  for (const auto entry : what.entries) {
    if (entry >= msix.table_size)
      return fail(EINVAL, fmt::format("MSI-X entry {} of a table of {}", entry, msix.table_size));
    if (seen.test(entry))
      return fail(EINVAL, fmt::format("MSI-X entry {} asked for twice", entry));
    seen.set(entry);
  }
  return {};
}

bool is_gone(const failure& what) { return what.error == ESRCH || what.error == EINVAL; }

} // namespace

message_interrupts::message_interrupts(const function& function)
    : msi_(find_msi(function)), msix_(find_msix(function)),
      irq_(function.irq <= std::numeric_limits<std::uint16_t>::max() ? static_cast<std::uint16_t>(function.irq) : 0) {}

answer message_interrupts::operate(const request& what, const policy& policy, bool guest_decodes_memory,
                                   config_port& port, pirq_port& pirqs) {
  last_failure_.reset();
  switch (static_cast<op_code>(what.code)) {
  case op_code::enable_msi:
    return answer_to(enable_msi(policy, port, pirqs), 0);
  case op_code::enable_msix:
    return answer_to(enable_msix(what, policy, guest_decodes_memory, port, pirqs), what.value);
  case op_code::disable_msi:
  case op_code::disable_msix:
    return disable(port, pirqs);
  default:
    return {op_error::not_implemented, what.value, {}};
  }
}

/// The reply to an enable. A failed enable_msi answers 0, a failed enable_msix leaves the guest's number (spec 3.4,
/// 3.6).
answer message_interrupts::answer_to(result<void> enabled, std::uint32_t value_of_failure) {
  if (!enabled) {
    last_failure_ = std::move(enabled.error());
    return {op_error::op_failed, value_of_failure, {}};
  }
  if (mode_ == interrupt_mode::msi)
    return {op_error::success, vectors_.front().pirq, {}};
  answer out;
  for (const auto& one : vectors_)
    out.vectors.push_back(one.pirq);
  return out;
}

result<void> message_interrupts::enable_msi(const policy& policy, config_port& port, pirq_port& pirqs) {
  if (!policy.msi)
    return fail(EACCES, "MSI is switched off by policy");
  if (!msi_)
    return fail(ENODEV, "the function has no MSI");
  return switch_to(interrupt_mode::msi, {}, port, pirqs);
}

result<void> message_interrupts::enable_msix(const request& what, const policy& policy, bool guest_decodes_memory,
                                             config_port& port, pirq_port& pirqs) {
  if (!policy.msix)
    return fail(EACCES, "MSI-X is switched off by policy");
  if (!msix_)
    return fail(ENODEV, "the function has no MSI-X");
  if (!guest_decodes_memory)
    return fail(ENXIO, "MSI-X while the guest has memory decode off");
  if (auto sound = check_entries(what, *msix_); !sound)
    return sound;
  return switch_to(interrupt_mode::msix, what.entries, port, pirqs);
}

/// A driver may ask for one kind with the other on, and Linux's frontend ends MSI-X with disable_msi; so either ends
/// what is on. An error here would help no guest: each unbinds its side whatever we say (spec 3.5, 9.4).
answer message_interrupts::disable(config_port& port, pirq_port& pirqs) {
  if (mode_ != interrupt_mode::intx || !vectors_.empty())
    if (auto ended = end(port, pirqs, true); !ended)
      last_failure_ = std::move(ended.error());
  return {op_error::success, irq_, {}};
}

result<void> message_interrupts::switch_to(interrupt_mode mode, std::span<const std::uint16_t> entries,
                                           config_port& port, pirq_port& pirqs) {
  const auto command = read_answered(port, reg::command, 2);
  // With messages on, INTx is off because of them, and nothing to go back to.
  const bool intx_was_on = mode_ != interrupt_mode::intx || (command && (*command & reg::command_intx_disable) == 0);
  // INTx stays off between the old kind and the new: a level line that nobody listens to would be raised.
  auto on = command.map([](std::uint32_t) {})
                .and_then([&] { return end(port, pirqs, false); })
                .and_then([&] { return mode == interrupt_mode::msi ? map_msi(pirqs) : map_msix(entries, port, pirqs); })
                .and_then([&] { return raise(mode, port); });
  if (!on)
    static_cast<void>(end(port, pirqs, intx_was_on)); // what it could not undo stays in vectors(), for the next end()
  return on;
}

result<void> message_interrupts::map_msi(pirq_port& pirqs) { return bind(0, pirqs.map_msi()); }

result<void> message_interrupts::map_msix(std::span<const std::uint16_t> entries, config_port& port, pirq_port& pirqs) {
  // A map with decode off fails and leaves the function masked for good. The guest has decode on, or we would not be
  // here; so it stays on: Xen unmasks entries later, when the guest binds its pirqs, and that needs decode as well.
  if (auto decoding = update(port, reg::command, 0, reg::command_memory); !decoding)
    return tl::unexpected(std::move(decoding.error()));
  for (const auto entry : entries)
    if (auto bound = bind(entry, pirqs.map_msix(entry, msix_->table_base)); !bound)
      return bound;
  return {};
}

result<void> message_interrupts::bind(std::uint16_t entry, result<std::uint16_t> pirq) {
  if (!pirq)
    return tl::unexpected(std::move(pirq.error()));
  vectors_.push_back({entry, *pirq}); // first, so that even an unusable one is unmapped again
  if (*pirq == 0)
    return fail(ERANGE, "Xen gave pirq 0, which a frontend takes for a failure");
  return {};
}

/// Xen has programmed addresses, data and masks; the enable bit and INTx are left to us. INTx goes first: a function
/// with both on would interrupt twice.
result<void> message_interrupts::raise(interrupt_mode mode, config_port& port) {
  const bool msi = mode == interrupt_mode::msi;
  const unsigned control = (msi ? msi_->offset : msix_->offset) + reg::message_control;
  auto intx_off = update(port, reg::command, 0, reg::command_intx_disable);
  if (!intx_off)
    return tl::unexpected(std::move(intx_off.error()));
  mode_ = mode; // before the write: one that is reported as failed may have had its effect
  auto on =
      msi ? update(port, control, 0, reg::msi_enable) : update(port, control, reg::msix_mask_all, reg::msix_enable);
  return on.map([](std::uint32_t) {});
}

result<void> message_interrupts::end(config_port& port, pirq_port& pirqs, bool restore_intx) {
  all_steps steps;
  // Enable off before the unmaps, so that no message is sent to a vector that is no longer the guest's. Both kinds are
  // looked at, for a permissive guest can have set either bit itself.
  bool off = true;
  if (msi_)
    off = steps.take(update(port, msi_->offset + reg::message_control, reg::msi_enable, 0));
  if (msix_)
    off = steps.take(update(port, msix_->offset + reg::message_control, reg::msix_enable, 0)) && off;
  if (off)
    mode_ = interrupt_mode::intx;
  steps.take(unmap_all(port, pirqs));
  // Last: with Enable off and INTx on, the device may interrupt at once.
  if (restore_intx)
    steps.take(update(port, reg::command, reg::command_intx_disable, 0));
  return steps.outcome();
}

result<void> message_interrupts::unmap_all(config_port& port, pirq_port& pirqs) {
  all_steps steps;
  if (vectors_.empty())
    return {};
  // An unmap of MSI-X (what an earlier end() left may be of that kind) with decode off succeeds, and leaves the
  // function masked for good. That decode cannot be turned on is no reason to keep the pirqs: the function is gone
  // then.
  result<std::uint32_t> command = reg::command_memory;
  if (msix_)
    command = update(port, reg::command, 0, reg::command_memory);
  steps.take(command);
  std::vector<bound_vector> left;
  for (const auto& one : vectors_)
    if (const auto unmapped = pirqs.unmap(one.pirq); !unmapped && !is_gone(unmapped.error())) {
      steps.take(unmapped);
      left.push_back(one);
    }
  vectors_ = std::move(left);
  if (command && (*command & reg::command_memory) == 0)
    steps.take(update(port, reg::command, reg::command_memory, 0));
  return steps.outcome();
}

void message_interrupts::adopt(interrupt_mode mode, std::vector<bound_vector> vectors) {
  mode_ = mode;
  vectors_ = std::move(vectors);
}

} // namespace pci
