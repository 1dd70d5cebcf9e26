// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "pci/config_space/port.hpp"
#include "pci/config_space/space.hpp"

namespace pci {

/// Reads a configuration space of `size` bytes, a multiple of 4, word by word. ETIMEDOUT: `go_on`, which is asked
/// before each access, said no.
[[nodiscard]] result<std::vector<std::byte>> take_snapshot(config_port& port, std::size_t size,
                                                           const std::function<bool()>& go_on);

/// What a guest reads of a space while the hardware has these bytes. Where it is answered with an error: all ones.
[[nodiscard]] std::vector<std::byte> guest_view(const space& what, std::span<const std::byte> hardware);

} // namespace pci
