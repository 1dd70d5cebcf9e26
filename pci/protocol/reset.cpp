// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/reset.hpp"

#include <algorithm>
#include <array>

namespace pci {
namespace {

constexpr std::array<std::string_view, 8> names{"device_specific", "acpi",   "flr", "af_flr", "pm", "bus",
                                                "cxl_bus",         "default"};

} // namespace

std::string_view to_string(reset_method method) { return names.at(static_cast<std::size_t>(method)); }

std::optional<reset_method> parse_reset_method(std::string_view word) {
  const auto found = std::ranges::find(names, word);
  if (found == names.end() || word == to_string(reset_method::unnamed)) {
    return std::nullopt;
  }
  return static_cast<reset_method>(found - names.begin());
}

std::string_view to_string(reset_verdict verdict) {
  switch (verdict) {
  case reset_verdict::permitted:
    return "permitted";
  case reset_verdict::hits_foreign:
    return "it would hit functions that are not held";
  case reset_verdict::hits_busy:
    break;
  }
  return "it would hit functions that are in use";
}

reset_verdict judge(std::span<const occupancy> hit) {
  if (std::ranges::find(hit, occupancy::foreign) != hit.end()) {
    return reset_verdict::hits_foreign;
  }
  return std::ranges::find(hit, occupancy::busy) != hit.end() ? reset_verdict::hits_busy : reset_verdict::permitted;
}

} // namespace pci
