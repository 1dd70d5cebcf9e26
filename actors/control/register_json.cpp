// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/control/register_json.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace actors::control {
namespace {

using json = nlohmann::ordered_json;

/// Only a quirk has a mask: the other fields' rules are their own.
json fields_of(const messages::register_account& account) {
  auto all = json::array();
  const auto is_quirk = [&](const pci::field& field) {
    const pci::quirk same{field.offset, field.width, field.mask};
    return std::find(account.policy.quirks.begin(), account.policy.quirks.end(), same) != account.policy.quirks.end();
  };
  for (const auto& field : account.fields) {
    all.push_back(
        pci::to_string(pci::quirk{field.offset, field.width, is_quirk(field) ? field.mask : std::uint32_t{0}}));
  }
  return all;
}

json refused_of(const std::vector<messages::refused_register>& last) {
  auto all = json::array();
  for (const auto& [what, name] : last) {
    all.push_back({{"register", name},
                   {"quirk", pci::to_string(pci::quirk{what.offset, what.size, what.mask})},
                   {"value", fmt::format("{:x}", what.value)},
                   {"count", what.count},
                   {"denied", what.error != pci::op_error::success}});
  }
  return all;
}

} // namespace

json json_of(const std::vector<pci::quirk>& quirks) {
  auto all = json::array();
  for (const auto& quirk : quirks) {
    all.push_back(pci::to_string(quirk));
  }
  return all;
}

json json_of(const messages::register_account& account) {
  return {{"address", pci::to_string(account.address)},
          {"vendor", fmt::format("{:04x}", account.vendor)},
          {"device", fmt::format("{:04x}", account.device)},
          {"subsystem_vendor", fmt::format("{:04x}", account.subsystem_vendor)},
          {"subsystem", fmt::format("{:04x}", account.subsystem)},
          {"writes", std::string{pci::to_string(pci::mode_of(account.policy))}},
          {"interrupt_control", account.policy.allow_interrupt_control},
          {"quirks", json_of(account.policy.quirks)},
          {"fields", fields_of(account)},
          {"refused", account.refused},
          {"last", refused_of(account.last)},
          {"suggested", json_of(account.suggested)}};
}

} // namespace actors::control
