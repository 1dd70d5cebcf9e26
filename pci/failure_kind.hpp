// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pci {

/// What a failure means to who asked: one of a few, where errno has many. Programs that call the daemon tell these
/// apart, and `pcibackctl` ends with a number for each.
enum class failure_kind : std::uint8_t {
  failed,    ///< it was tried, and did not succeed
  usage,     ///< the request itself is wrong
  no_daemon, ///< nobody answers
  refused,   ///< a rule forbids it: a setting, Xen, the card
  busy,      ///< somebody has the function, or it is being worked on: later it may succeed
  absent,    ///< no such function, no such guest, or the function is not held
  timed_out, ///< no answer within the time given
};
/// "failed", "usage", "no-daemon", "refused", "busy", "absent", "timed-out".
[[nodiscard]] std::string_view to_string(failure_kind kind);

/// What an errno value of the daemon's means. 0, negative and unknown ones: `failed`.
[[nodiscard]] failure_kind kind_of(int error);

/// "EBUSY"; "E4711" for one that has no name.
[[nodiscard]] std::string errno_name(int error);

} // namespace pci
