// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/control/overview_json.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "actors/control/register_json.hpp"
#include "platform/pci_host.hpp"

namespace actors::control {
namespace {

using json = nlohmann::ordered_json;

json text_of(std::string_view text) { return std::string{text}; }

// Lower case like every other word here; Xen's headers and tools write these states in capitals of their own.
json state_of(pci::xenbus_state state) {
  std::string text{pci::to_string(state)};
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
  return text;
}

json address_of(const std::optional<pci::sbdf>& address) { return address ? json(pci::to_string(*address)) : json(); }

json domain_of(const std::optional<messages::domain_id>& domain) { return domain ? json(*domain) : json(); }

json vectors_of(const std::vector<pci::bound_vector>& vectors) {
  auto all = json::array();
  for (const auto& vector : vectors) {
    all.push_back({{"entry", vector.entry}, {"pirq", vector.pirq}});
  }
  return all;
}

json line_of(const messages::function_status& function) {
  return {{"decision", text_of(pci::to_string(function.line))},
          {"holder", text_of(platform::driver_name(function.handler ? platform::holder::uio : platform::holder::stub))},
          {"acknowledging", function.acknowledging},
          {"acknowledged", function.acknowledged},
          {"spurious", function.spurious},
          {"storm", function.storm},
          {"storms", function.storms},
          {"danger", text_of(pci::to_string(function.danger))}};
}

json errors_of(const messages::error_account& errors) {
  return {{"corrected", errors.corrected}, {"nonfatal", errors.nonfatal}, {"fatal", errors.fatal},
          {"recovered", errors.recovered}, {"failed", errors.failed},     {"last", errors.last}};
}

json addresses_of(const std::vector<pci::sbdf>& addresses) {
  auto all = json::array();
  for (const auto& address : addresses) {
    all.push_back(pci::to_string(address));
  }
  return all;
}

json wish_of(const messages::unmet_wish& wish) {
  const auto text_or_null = [](const std::string& text) { return text.empty() ? json() : json(text); };
  return {{"address", pci::to_string(wish.address)},
          {"gap", text_of(messages::to_string(wish.gap))},
          {"guest", text_or_null(wish.guest)},
          {"driver", text_or_null(wish.driver)},
          {"why", wish.why}};
}

} // namespace

json json_of(const messages::function_status& function) {
  return {{"address", pci::to_string(function.address)},
          {"vendor", fmt::format("{:04x}", function.vendor)},
          {"device", fmt::format("{:04x}", function.device)},
          {"class", fmt::format("{:06x}", function.class_code)},
          {"state", text_of(messages::to_string(function.state))},
          {"detail", function.detail},
          {"domain", domain_of(function.domain)},
          {"target", domain_of(function.target)},
          {"guest", function.guest},
          {"virtual_address", address_of(function.virtual_address)},
          {"mode", text_of(messages::to_string(function.mode))},
          {"vectors", vectors_of(function.vectors)},
          {"gsi", function.gsi},
          {"line", line_of(function)},
          {"operations", function.operations},
          {"refused", function.refused},
          {"permissive", function.permissive},
          {"writes", text_of(pci::to_string(function.writes))},
          {"quirks", json_of(function.quirks)},
          {"interrupt_control", function.interrupt_control},
          {"refused_writes", function.refused_writes},
          {"notes", function.notes},
          {"guard", text_of(pci::to_string(function.guard))},
          {"errors", errors_of(function.errors)},
          {"last_guests", function.last_guests},
          {"reserved", function.reserved},
          {"line_guests", function.line_guests},
          {"power", function.rests ? "d3" : "d0"},
          {"driver", function.driver}};
}

json json_of(const messages::domain_status& domain) {
  return {{"domain", domain.domain},
          {"state", state_of(domain.backend)},
          {"frontend", state_of(domain.frontend)},
          {"connected", domain.connected},
          {"functions", addresses_of(domain.functions)},
          {"operations", domain.operations},
          {"absent", domain.absent},
          {"late", domain.late},
          {"spurious", domain.spurious},
          {"interrupt_operations", domain.interrupt_operations},
          {"delayed", domain.delayed},
          {"delayed_accesses", domain.delayed_accesses},
          {"interrupt_rate", domain.interrupt_rate},
          {"access_rate", domain.access_rate},
          {"polled", domain.polled},
          {"events_late", domain.events_late},
          {"frontend_error", domain.frontend_error},
          {"name", domain.name}};
}

json json_of(const messages::overview& all) {
  auto functions = json::array();
  for (const auto& function : all.functions) {
    functions.push_back(json_of(function));
  }
  auto domains = json::array();
  for (const auto& domain : all.domains) {
    domains.push_back(json_of(domain));
  }
  auto unmet = json::array();
  for (const auto& wish : all.unmet) {
    unmet.push_back(wish_of(wish));
  }
  return {{"functions", std::move(functions)},
          {"domains", std::move(domains)},
          {"beyond_xen", all.beyond_xen},
          {"unmet", std::move(unmet)}};
}

} // namespace actors::control
