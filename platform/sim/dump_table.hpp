// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <span>
#include <string_view>

namespace platform::sim {

/// A dump that the build has compiled in from platform/sim/devices.
struct embedded_dump {
  std::string_view name;
  std::string_view text;
};
[[nodiscard]] std::span<const embedded_dump> embedded_dumps();

} // namespace platform::sim
