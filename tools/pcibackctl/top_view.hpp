// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "pci/result.hpp"
#include "tools/pcibackctl/view.hpp"

namespace client_program {

/// What the daemon told at one moment: the results of `list` and `metrics`.
struct top_sample {
  std::string list;
  std::string metrics;
};

/// By which column functions and guests are sorted; its first letter is the key that chooses it.
inline constexpr std::array<std::string_view, 5> top_orders{"operations", "errors", "interrupts", "guest", "device"};

/// What went on between two moments that are `seconds` apart: a line about all, and one for each guest and function.
/// Counters that have become smaller, as those of a guest that came anew, are taken as begun at 0. EPROTO: the daemon
/// told something else.
[[nodiscard]] pci::result<std::string> top_frame(const top_sample& before, const top_sample& now, double seconds,
                                                 std::string_view order, const view& how = {});

/// The same for programs, an object in a line: rates a second, and the times within which half of the operations and
/// 99 % of them were answered.
[[nodiscard]] pci::result<std::string> top_json(const top_sample& before, const top_sample& now, double seconds,
                                                std::string_view order);

} // namespace client_program
