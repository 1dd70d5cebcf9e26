// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/xen/interface_version.hpp"

#include <cerrno>

#include <fmt/format.h>

namespace platform::xen {
namespace {

// Xen 4.13 had the first; there is room for releases to come.
constexpr std::uint32_t oldest = 0x12, newest = 0x40;

/// Source: XEN_DOMCTL_INTERFACE_VERSION in xen/include/public/domctl.h of each release.
std::string releases(std::uint32_t version) {
  switch (version) {
  case 0x15:
    return "Xen 4.17";
  case 0x16:
    return "Xen 4.18";
  case 0x17:
    return "Xen 4.19 to 4.21";
  case 0x18:
    return "Xen 4.22";
  default:
    return version < 0x15 ? "a Xen before 4.17" : "a Xen after 4.22";
  }
}

/// What Xen thinks of a version: it is its own, it is not, or it cannot be asked.
enum class verdict : std::uint8_t { own, another, unknown };
verdict judge(const domctl_trial& trial, std::uint32_t version) {
  switch (trial(version)) {
  case 0:
  case EPERM: // refused for what it asks, so the version is right
    return verdict::own;
  case EACCES:
    return verdict::another;
  default:
    return verdict::unknown;
  }
}

} // namespace

std::optional<std::uint32_t> find_interface(const domctl_trial& trial, std::uint32_t likely) {
  const auto first = judge(trial, likely);
  if (first != verdict::another)
    return first == verdict::own ? std::optional(likely) : std::nullopt;
  for (auto version = oldest; version <= newest; ++version)
    if (judge(trial, version) == verdict::own)
      return version;
  return std::nullopt;
}

std::optional<std::string> interface_obstacle(const domctl_trial& trial, std::uint32_t library,
                                              std::string_view hypervisor) {
  if (judge(trial, library) != verdict::another)
    return std::nullopt;
  const auto found = find_interface(trial, library);
  const auto is = hypervisor.empty() ? found ? releases(*found) : "another Xen" : fmt::format("Xen {}", hypervisor);
  return fmt::format("libxenctrl is that of {} (control interface {:#x}) and the hypervisor is {} ({}), which do not "
                     "match: boot {}, or run a pcibackd that was built with the libxen-dev of {}",
                     releases(library), library, is, found ? fmt::format("{:#x}", *found) : "another interface",
                     releases(library), is);
}

} // namespace platform::xen
