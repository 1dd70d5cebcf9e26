// SPDX-License-Identifier: GPL-2.0-or-later
#include "messages/types.hpp"

namespace messages {

std::string_view to_string(function_state state) {
  switch (state) {
  case function_state::holding:
    return "holding";
  case function_state::held:
    return "held";
  case function_state::granted:
    return "granted";
  case function_state::leased:
    return "leased";
  case function_state::inherited:
    return "inherited";
  case function_state::scrubbing:
    return "scrubbing";
  case function_state::failed:
    return "failed";
  case function_state::gone:
    return "gone";
  case function_state::refused:
    return "refused";
  }
  return "unknown";
}

function_state state_of(pci::function_life::phase phase) {
  using enum pci::function_life::phase;
  switch (phase) {
  case fresh:
  case taking:
  case reclaiming:
  case giving_back:
  case giving_back_failed:
  case giving_back_untaken:
    return function_state::holding;
  case held:
  case held_preparing:
    return function_state::held;
  case granting:
  case granted:
  case granted_preparing:
    return function_state::granted;
  case leasing:
  case leased:
  case resetting:
    return function_state::leased;
  case inherited:
  case unknown:
  case ending_inherited:
    return function_state::inherited;
  case ending_reset:
  case awaiting_page:
  case scrubbing:
  case awaiting_pirqs:
  case retrying:
  case awaiting_reset_group:
  case letting_go:
    return function_state::scrubbing;
  case failed:
  case failed_awaiting_reset_group:
  case failed_preparing:
  case untaken:
  case withdrawing:
    return function_state::failed;
  case gone:
  case gone_busy:
  case stranded:
  case stranded_busy:
  case stopped:
  case ended:
    break;
  }
  return function_state::gone;
}

std::string_view to_string(pci::interrupt_mode mode) {
  switch (mode) {
  case pci::interrupt_mode::intx:
    return "intx";
  case pci::interrupt_mode::msi:
    return "msi";
  case pci::interrupt_mode::msix:
    return "msix";
  }
  return "unknown";
}

std::string_view to_string(wish_gap gap) {
  switch (gap) {
  case wish_gap::absent:
    return "absent";
  case wish_gap::not_held:
    return "not-held";
  case wish_gap::no_guest:
    return "no-guest";
  case wish_gap::not_given:
    return "not-given";
  }
  return "absent";
}

} // namespace messages
