// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/control/trace_json.hpp"

#include <algorithm>
#include <array>
#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "actors/look/operation_meter.hpp"

namespace actors::control {
namespace {

using trace_json_value = nlohmann::ordered_json;

trace_json_value digits_of(const std::vector<std::byte>& bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  if (bytes.empty()) {
    return {};
  }
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const auto each : bytes) {
    text += digits[std::to_integer<unsigned>(each) >> 4U];
    text += digits[std::to_integer<unsigned>(each) & 0xfU];
  }
  return text;
}

std::string time_text(std::chrono::nanoseconds since) {
  constexpr std::int64_t second = 1'000'000'000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:09}Z", fmt::gmtime(static_cast<std::time_t>(since.count() / second)),
                     since.count() % second);
}

/// As many digits as the access has bytes for.
std::string value_text(std::uint32_t value, std::int32_t size) {
  return fmt::format("{:0{}x}", value, size == 1 || size == 2 ? 2 * size : 8);
}

// The guest's numbers may be any.
std::string virtual_address_of(const trace_record& what) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{}", what.segment, what.bus, what.devfn >> 3U, what.devfn & 7U);
}

trace_json_value operation_of(const traced& each, std::chrono::nanoseconds epoch) {
  const auto& what = each.what;
  const bool writes = what.code == static_cast<std::uint32_t>(pci::op_code::conf_write);
  const bool accesses = what.code <= static_cast<std::uint32_t>(pci::op_code::conf_write);
  return {{"time", time_text(epoch + what.begun)},
          {"domain", what.domain},
          {"guest", each.guest},
          {"function", what.found ? trace_json_value(pci::to_string(what.function)) : trace_json_value()},
          {"virtual_address", virtual_address_of(what)},
          {"operation", std::string{operation_kinds[kind_of_operation(what.code)]}},
          {"code", what.code},
          {"offset", what.offset},
          {"size", what.size},
          {"register", each.register_name.empty() ? trace_json_value() : trace_json_value(each.register_name)},
          {"value", value_text(writes ? what.asked : what.value, accesses ? what.size : 4)},
          {"vectors", what.vectors},
          {"error", std::string{operation_results[result_of_operation(what.error)]}},
          {"took_ns", what.took.count()}};
}

} // namespace

nlohmann::ordered_json json_of(const messages::config_account& account) {
  const auto& function = account.function;
  auto sizes = trace_json_value::array();
  std::ranges::transform(function.resources, std::back_inserter(sizes),
                         [](const pci::resource& each) { return each.size(); });
  return {{"address", pci::to_string(function.address)},
          {"vendor", fmt::format("{:04x}", function.vendor)},
          {"device", fmt::format("{:04x}", function.device)},
          {"domain", account.domain ? trace_json_value(*account.domain) : trace_json_value()},
          {"sizes", std::move(sizes)},
          {"guest", digits_of(account.guest)},
          {"hardware", digits_of(account.hardware)},
          {"reference", digits_of(function.config)},
          {"trouble", account.trouble.empty() ? trace_json_value() : trace_json_value(account.trouble)}};
}

nlohmann::ordered_json json_of(const trace_batch& batch) {
  auto all = trace_json_value::array();
  for (const auto& each : batch.operations) {
    all.push_back(operation_of(each, std::chrono::duration_cast<std::chrono::nanoseconds>(batch.epoch)));
  }
  return {{"operations", std::move(all)},
          {"lost", batch.lost},
          {"guests", batch.guests},
          {"untraced", batch.untraced},
          {"more", batch.more}};
}

} // namespace actors::control
