// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/control/explanation_json.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "actors/control/overview_json.hpp"
#include "actors/control/register_json.hpp"
#include "actors/control/verdict.hpp"

namespace actors::control {
namespace {

using json = nlohmann::ordered_json;

json text_or_null(const std::string& text) { return text.empty() ? json() : json(text); }

template <class All, class One>
json array_of(const All& all, One one) {
  auto array = json::array();
  for (const auto& each : all) {
    array.push_back(one(each));
  }
  return array;
}

json address_of(const pci::sbdf& address) { return pci::to_string(address); }

json sharer_json(const messages::sharer& other) {
  return {{"address", address_of(other.address)},
          {"driver", text_or_null(other.driver)},
          {"domain", other.domain ? json(*other.domain) : json()},
          {"guest", text_or_null(other.guest)}};
}

json reset_json(const pci::reset_option& option) {
  return {{"method", std::string{pci::to_string(option.method)}}, {"hits", array_of(option.hits, address_of)}};
}

json region_json(const pci::reserved_region& region) {
  return {{"first", fmt::format("{:x}", region.first)},
          {"last", fmt::format("{:x}", region.last)},
          {"functions", array_of(region.functions, address_of)}};
}

json trouble_json(const messages::trouble& trouble) {
  return {{"seconds_ago", trouble.ago.count()}, {"what", trouble.what}};
}

json guest_json(const std::optional<messages::guest_account>& guest) {
  if (!guest) {
    return {};
  }
  return {{"domain", guest->domain},
          {"name", text_or_null(guest->name)},
          {"words", guest->words},
          {"hvm", guest->hvm},
          {"paused", guest->paused},
          {"ended", guest->ended},
          {"served", guest->served ? json_of(*guest->served) : json()},
          {"backend_error", text_or_null(guest->backend_error)},
          {"vectors", guest->vectors},
          {"vector_limit", guest->vector_limit}};
}

json assigned_json(const std::optional<messages::assignment_account>& assigned) {
  if (!assigned) {
    return {};
  }
  return {{"guest", assigned->guest},
          {"domain", assigned->domain ? json(*assigned->domain) : json()},
          {"nearest", text_or_null(assigned->nearest)}};
}

json verdict_json(const verdict& what) {
  return {{"kind", std::string{to_string(what.kind)}}, {"text", what.text}, {"command", text_or_null(what.command)}};
}

json function_json(const messages::function_account& function) {
  return {{"address", address_of(function.address)},
          {"settings",
           {{"configured", function.configured},
            {"hold", function.hold},
            {"seize", function.seize},
            {"pin_mismatch", text_or_null(function.pin_mismatch)},
            {"objection", text_or_null(function.objection)},
            {"assigned", assigned_json(function.assigned)},
            {"rdm", function.rdm_relaxed ? "relaxed" : "strict"},
            {"share_pages", function.share_pages}}},
          {"host",
           {{"iommu", !function.no_iommu},
            {"there", function.there},
            {"vendor", fmt::format("{:04x}", function.vendor)},
            {"device", fmt::format("{:04x}", function.device)},
            {"class", fmt::format("{:06x}", function.class_code)},
            {"driver", text_or_null(function.driver)},
            {"previous_driver", text_or_null(function.previous_driver)},
            {"resets", array_of(function.resets, reset_json)},
            {"reserved", array_of(function.reserved, region_json)},
            {"slot_mates", array_of(function.slot_mates, sharer_json)},
            {"page_mates", array_of(function.page_mates, sharer_json)}}},
          {"status", function.status ? json_of(*function.status) : json()},
          {"registers", function.registers ? json_of(*function.registers) : json()},
          {"command", function.command ? json(fmt::format("{:04x}", *function.command)) : json()},
          {"guest", guest_json(function.guest)},
          {"troubles", array_of(function.troubles, trouble_json)},
          {"verdict", verdict_json(verdict_of(function))}};
}

} // namespace

json json_of(const messages::explanation& all) {
  return {{"asked", text_or_null(all.asked)},
          {"guest", guest_json(all.guest)},
          {"functions", array_of(all.functions, function_json)},
          {"verdict", verdict_json(verdict_of(all))}};
}

} // namespace actors::control
