// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string_view>

namespace pci {

/// How it stands with the removal guard of a function, which holds its removal from dom0 up.
enum class guard_state : std::uint8_t {
  none,      ///< nobody has asked for one
  armed,     ///< a removal will wait
  holding,   ///< a removal waits
  unguarded, ///< one is wanted and cannot be had, or not now: a removal will not wait
  let_go,    ///< a removal waited while no daemon ran, and was let go at last: the function was removed
};
[[nodiscard]] std::string_view to_string(guard_state state);

} // namespace pci
