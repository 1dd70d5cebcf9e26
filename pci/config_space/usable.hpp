// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string_view>
#include <vector>

#include "pci/config_space/capabilities.hpp"
#include "pci/function.hpp"

/// What of a function can be used: that it is listed, or that it has an address, says less.
namespace pci {

/// True when nothing answered as the reference copy was taken: it is all ones. By STATUS, because a virtual function's
/// vendor register reads all ones even in health.
[[nodiscard]] bool is_silent(const function& function);

/// Whether the member of the function's list can be used: its registers lie within the 256 bytes, it is the first of
/// its kind, if of a kind that there is one of, and MSI-X has its table and its pending bits in memory that the host
/// has given the function, apart from each other (Xen makes their pages read-only to the guest: a card that has both at
/// 0 of its only BAR means that it has none).
[[nodiscard]] bool usable(const function& function, const listed_capability& what);
/// Why it cannot, in words: "its table and its pending bits overlap". Empty: it can.
[[nodiscard]] std::string_view defect_of(const function& function, const listed_capability& what);

/// The list without those that cannot be used: what a guest is shown.
[[nodiscard]] std::vector<listed_capability> usable_capabilities(const function& function);

} // namespace pci
