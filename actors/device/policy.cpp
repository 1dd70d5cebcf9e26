// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest may do with a function, changed at run time, and what it tried.
#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/device/device.hpp"
#include "messages/errors.hpp"
#include "pci/config_space/field_list.hpp"
#include "pci/config_space/register_names.hpp"
#include "pci/config_space/registers.hpp"

namespace actors {

caf::result<void> device_state::change_policy(const pci::policy_change& change) {
  if (!hardware_) {
    return messages::to_error(refusal("changed"));
  }
  auto next = pci::apply(policy_.now(), change);
  if (!next) {
    return messages::to_error(next.error());
  }
  const auto refused = pci::refused_quirks(hardware_->description(), *next);
  if (change.open && std::find(refused.begin(), refused.end(), *change.open) != refused.end()) {
    return messages::to_error(
        {EINVAL,
         fmt::format("{}: the register of quirk {} has a rule of its own, overlaps another quirk's or does not exist",
                     pci::to_string(address_), pci::to_string(*change.open))});
  }
  policy_.set(std::move(*next));
  if (change.permissive == false) {
    policy_.forbid_all();
  }
  const auto policy = policy_.in_force();
  if (serving_) {
    serving_->soon([policy](hardware& device) { device.set_policy(policy); });
    serving_->do_waiting();
  }
  // Unlimited: the administrator's doing.
  spdlog::info("{}: writes: {}, {} quirks, interrupt control {}", pci::to_string(address_),
               to_string(pci::mode_of(policy)), policy.quirks.size(), policy.allow_interrupt_control ? "on" : "off");
  return {};
}

void device_state::describe_policy(messages::function_status& status) const {
  const auto policy = policy_.in_force();
  status.permissive = policy.permissive;
  status.writes = pci::mode_of(policy);
  status.quirks = policy.quirks;
  status.interrupt_control = policy.allow_interrupt_control;
  status.refused_writes = refused_writes().count();
}

caf::result<messages::register_account> device_state::registers() const {
  if (!hardware_) {
    return messages::to_error(refusal("looked at"));
  }
  const auto& function = hardware_->description();
  messages::register_account account;
  account.address = address_;
  account.vendor = function.vendor;
  account.device = function.device;
  account.subsystem_vendor = static_cast<std::uint16_t>(function.copy(pci::reg::subsystem, 2));
  account.subsystem = static_cast<std::uint16_t>(function.copy(pci::reg::subsystem + 2, 2));
  account.policy = policy_.in_force();
  account.fields = pci::build_fields(function, account.policy);
  const auto refused = refused_writes();
  account.refused = refused.count();
  for (const auto& each : refused.last()) {
    account.last.push_back({each, pci::register_name(function, each.offset)});
  }
  account.suggested =
      pci::suggested_quirks(account.policy.quirks, refused.last(), account.fields, function.config_size());
  pci::append_quirks(account.fields, account.policy, function.config_size());
  return account;
}

} // namespace actors
