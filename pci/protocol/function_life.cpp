// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/function_life.hpp"

#include <algorithm>

namespace pci {
namespace {

template <std::size_t size>
std::string_view name_in(const std::array<std::string_view, size>& names, std::size_t index) {
  return index < size ? names[index] : "unknown";
}

} // namespace

function_life::effects function_life::on(event what) {
  const auto rules = table();
  const auto found = std::ranges::find_if(rules, [&](const rule& each) {
    return each.from.contains(now_) && each.on.contains(what) && each.hardware.contains(hardware_);
  });
  if (what == event::removal_waits && hardware_ == presence::there)
    hardware_ = presence::going;
  if ((what == event::removed || what == event::removed_in_use) && !removed())
    hardware_ = hardware_ == presence::going ? presence::went : presence::lost;
  left_ = left_ || (what == event::leave && removed());
  if (found == rules.end())
    return {};
  now_ = found->to.value_or(now_);
  return found->due;
}

std::string_view to_string(function_life::phase what) {
  static constexpr std::array<std::string_view, function_life::phases> names{"fresh",
                                                                             "taking",
                                                                             "reclaiming",
                                                                             "held",
                                                                             "held_preparing",
                                                                             "granting",
                                                                             "granted",
                                                                             "granted_preparing",
                                                                             "leasing",
                                                                             "leased",
                                                                             "resetting",
                                                                             "ending_reset",
                                                                             "awaiting_page",
                                                                             "scrubbing",
                                                                             "awaiting_pirqs",
                                                                             "retrying",
                                                                             "awaiting_reset_group",
                                                                             "failed",
                                                                             "failed_awaiting_reset_group",
                                                                             "failed_preparing",
                                                                             "untaken",
                                                                             "inherited",
                                                                             "unknown",
                                                                             "ending_inherited",
                                                                             "letting_go",
                                                                             "withdrawing",
                                                                             "giving_back",
                                                                             "giving_back_failed",
                                                                             "giving_back_untaken",
                                                                             "gone",
                                                                             "gone_busy",
                                                                             "stranded",
                                                                             "stranded_busy",
                                                                             "stopped",
                                                                             "ended"};
  return name_in(names, static_cast<std::size_t>(what));
}

std::string_view to_string(function_life::presence what) {
  static constexpr std::array<std::string_view, function_life::presences> names{"there", "going", "went", "lost"};
  return name_in(names, static_cast<std::size_t>(what));
}

std::string_view to_string(function_life::event what) {
  static constexpr std::array<std::string_view, function_life::events> names{"hold",
                                                                             "inherit",
                                                                             "inherit_unknown",
                                                                             "grant",
                                                                             "revoke",
                                                                             "lease",
                                                                             "adopt",
                                                                             "reset",
                                                                             "release",
                                                                             "retry",
                                                                             "prepare",
                                                                             "leave",
                                                                             "stop",
                                                                             "died",
                                                                             "taken",
                                                                             "not_taken",
                                                                             "prepared",
                                                                             "granted",
                                                                             "grant_refused",
                                                                             "grant_failed",
                                                                             "lease_begun",
                                                                             "reset_over",
                                                                             "scrub_clean",
                                                                             "scrub_failed",
                                                                             "scrub_retries",
                                                                             "scrub_yields",
                                                                             "scrub_blocked",
                                                                             "scrub_has_pirqs",
                                                                             "withdrawn",
                                                                             "not_withdrawn",
                                                                             "given_back",
                                                                             "not_given_back",
                                                                             "claimed",
                                                                             "removal_let_go",
                                                                             "removal_kept",
                                                                             "returned",
                                                                             "guest_ended",
                                                                             "page_unmapped",
                                                                             "look_at_pirqs",
                                                                             "pause_over",
                                                                             "reset_group_quiet",
                                                                             "driver_lost",
                                                                             "reset_by_host",
                                                                             "removal_waits",
                                                                             "removal_goes_on",
                                                                             "unanswered",
                                                                             "guest_time_over",
                                                                             "hold_lost",
                                                                             "removed",
                                                                             "removed_in_use"};
  return name_in(names, static_cast<std::size_t>(what));
}

std::string_view to_string(function_life::effect what) {
  static constexpr std::array<std::string_view, function_life::effects_there_are> names{"refuse",
                                                                                        "wait",
                                                                                        "agree",
                                                                                        "begin",
                                                                                        "resume",
                                                                                        "settle",
                                                                                        "end",
                                                                                        "take",
                                                                                        "end_guest",
                                                                                        "await_page",
                                                                                        "scrub",
                                                                                        "await_pirqs",
                                                                                        "await_retry",
                                                                                        "await_reset_group",
                                                                                        "let_removal_go",
                                                                                        "end_inherited",
                                                                                        "await_guest",
                                                                                        "await_removal_retry",
                                                                                        "end_serving",
                                                                                        "end_inheritance",
                                                                                        "note_wish_gone",
                                                                                        "note_clean",
                                                                                        "note_failed",
                                                                                        "note_kept",
                                                                                        "note_let_go",
                                                                                        "note_gone",
                                                                                        "forget",
                                                                                        "pause_guest"};
  return name_in(names, static_cast<std::size_t>(what));
}

} // namespace pci
