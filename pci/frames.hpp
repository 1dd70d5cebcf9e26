// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "pci/function.hpp"

namespace pci {

/// Memory is given to guests by whole pages of 4 KiB, so a function with smaller BARs comes with whatever else has
/// registers in its pages (XSA-461). These frames (addresses / 4096) of a function's usable memory, in order and each
/// once, are such pages.
[[nodiscard]] std::vector<std::uint64_t> partial_frames(const std::array<resource, 7>& resources);

/// The first of `frames` in which these resources have memory, too. Empty: in none.
[[nodiscard]] std::optional<std::uint64_t> frame_of(const std::array<resource, 7>& resources,
                                                    const std::vector<std::uint64_t>& frames);

/// So many frames from the first on.
struct frame_range {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  friend bool operator==(const frame_range&, const frame_range&) = default;
};

/// Where a function's MSI-X table and pending bits are, by its reference copy and its host's resources: the pages that
/// Xen lets nobody map writable while the function is prepared. Empty: it has no usable MSI-X.
/// Source: PCI 3.0 section 6.8.2.
[[nodiscard]] std::vector<frame_range> msix_frames(const function& function);

} // namespace pci
