#pragma once

#include <cstdint>

namespace actors {

/// The largest number that a domain can have: those from DOMID_FIRST_RESERVED on are Xen's own. Source: xen.h.
inline constexpr std::uint32_t largest_domain = 0x7fef;

} // namespace actors
