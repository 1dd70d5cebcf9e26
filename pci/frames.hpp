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

} // namespace pci
