// SPDX-License-Identifier: GPL-2.0-or-later
// What others are told of a function, its configuration space too; and the settings that are others while it is held.
#include <cerrno>
#include <chrono>

#include <fmt/format.h>

#include "actors/device/device.hpp"
#include "messages/errors.hpp"
#include "pci/config_space/snapshot.hpp"

namespace actors {

using messages::function_state;

namespace {

// A card whose accesses take longer than this, all together, answers nobody's question.
constexpr auto patience_with_snapshot = std::chrono::seconds(5);

/// By a port of its own, so that nobody waits for it: an access to configuration space is whole by itself.
pci::result<std::vector<std::byte>> read_now(platform::host& host, const pci::function& function) {
  const auto end = std::chrono::steady_clock::now() + patience_with_snapshot;
  return host.pci().open_config(function.address).and_then([&](const std::unique_ptr<pci::config_port>& port) {
    return pci::take_snapshot(*port, function.config_size(), [end] { return std::chrono::steady_clock::now() < end; });
  });
}

/// What a guest reads where the hardware has these bytes.
pci::result<std::vector<std::byte>> view_of(const std::shared_ptr<serving>& lease, const pci::function& function,
                                            const pci::policy& policy, const std::vector<std::byte>& bytes) {
  if (lease) {
    return pci::guest_view(lease->exclusively([](const hardware& device) { return device.view(); }), bytes);
  }
  return pci::space::build(function, policy).map([&](const pci::space& next) { return pci::guest_view(next, bytes); });
}

} // namespace

messages::function_status device_state::status() const {
  messages::function_status status;
  status.address = address_;
  status.state = state();
  status.detail = detail_.empty() ? std::string{recovery_} : detail_;
  for (const auto& each : living_guests()) {
    status.last_guests.push_back(each.domain);
  }
  if (state() == function_state::held && status.detail.empty()) {
    status.detail = tell_of_last_guests();
    status.reserved = reserved("handed out", {}).has_value();
  }
  if (state() == function_state::held && status.detail.empty() && !life_.busy()) {
    status.detail = hardware_->note(all_->functions->idle.was_reset(address_));
  }
  status.rests = state() == function_state::held && !life_.busy() && hardware_->rests() &&
                 !all_->functions->idle.was_reset(address_);
  status.domain = domain_;
  status.target = target_;
  status.guest = guest_;
  status.virtual_address = virtual_address_;
  const auto now = serving_ ? serving_->count() : serving::counts{};
  status.operations = counts_.operations + now.operations;
  status.refused = counts_.refused + now.refused;
  describe_policy(status);
  if (hardware_ && !life_.busy()) {
    status.line = pci::decide({.facts = hardware_->line(), .policy = policy_.in_force().line}).decision;
  }
  line_->describe(status);
  status.errors = errors_;
  if (in_use()) {
    status.handler = in_use()->has_handler();
  }
  status.guard = all_->host.guards().state(address_);
  if (hardware_) {
    status.notes = hardware_->notes();
    const auto& description = hardware_->description();
    status.vendor = description.vendor;
    status.device = description.device;
    status.class_code = description.class_code;
    status.gsi = description.irq;
  }
  if (inherited_) {
    const auto& known = *inherited_;
    status.vendor = known.function.vendor;
    status.device = known.function.device;
    status.class_code = known.function.class_code;
    status.gsi = known.function.irq;
    status.mode = known.mode;
    status.vectors = known.vectors;
    status.permissive = known.permissive;
  }
  describe_sharing(status);
  if (hardware_ && !life_.busy() && hardware_->msix_refused()) {
    const auto told = "without MSI-X: " + pci::to_string(*hardware_->msix_refused());
    status.notes.push_back(told);
    status.detail = status.detail.empty() ? told : status.detail;
  }
  // Only a guest has message interrupts.
  if (serving_) {
    auto now = serving_->record();
    status.mode = now.mode;
    status.vectors = std::move(now.vectors);
  }
  return status;
}

caf::result<messages::config_account> device_state::config() {
  if (!hardware_) {
    return messages::to_error(refusal("looked at"));
  }
  auto promise = self_->make_response_promise();
  run_on_new_thread<messages::config_account>(
      *all_, self_,
      [all = all_, lease = serving_, function = hardware_->description(), domain = domain_,
       policy = policy_.in_force()]() -> pci::result<messages::config_account> {
        messages::config_account account;
        account.function = function;
        account.domain = lease ? domain : std::nullopt;
        const auto bytes = read_now(all->host, function);
        const auto guest = bytes ? view_of(lease, function, policy, *bytes) : bytes;
        if (guest) {
          account.hardware = *bytes;
          account.guest = *guest;
        } else {
          account.trouble = pci::to_string(guest.error());
        }
        return account;
      },
      [promise](const pci::result<messages::config_account>& account) mutable { reply(promise, account); });
  return promise;
}

void device_state::reload(const pci::policy& policy, bool keep) {
  const bool leased = state() == function_state::leased || state() == function_state::inherited;
  policy_.configure(policy, keep, leased);
}

} // namespace actors
