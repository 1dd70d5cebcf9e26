// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace platform::xen {

/// One control operation (domctl) of this interface version that changes nothing. Returns 0 or a positive errno value;
/// Xen answers EACCES to a version that is not its own before it looks at anything else.
using domctl_trial = std::function<int(std::uint32_t version)>;

/// The version of the hypervisor's control interface. Xen has no question for it, so versions are tried, `likely`
/// first. Empty: it is none that could be, or cannot be asked.
[[nodiscard]] std::optional<std::uint32_t> find_interface(const domctl_trial& trial, std::uint32_t likely);

/// Why libxenctrl, whose control interface is `library`, cannot be used with the hypervisor, in one line that says what
/// belongs together. Empty: it can, or nobody knows. `hypervisor`: its release, such as 4.20; may be empty.
[[nodiscard]] std::optional<std::string> interface_obstacle(const domctl_trial& trial, std::uint32_t library,
                                                            std::string_view hypervisor);

} // namespace platform::xen
