// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

#include "pci/result.hpp"

namespace pci {

/// One function's configuration space in hardware. Each call is one access of exactly that width; the offset is aligned
/// to it.
class config_port {
public:
  config_port() = default;
  config_port(const config_port&) = delete;
  config_port& operator=(const config_port&) = delete;
  virtual ~config_port() = default;

  /// `width` is 1, 2 or 4. Fails with ENODEV when the function is gone, EINVAL beyond the space.
  [[nodiscard]] virtual result<std::uint32_t> read(std::uint16_t offset, unsigned width) = 0;
  [[nodiscard]] virtual result<void> write(std::uint16_t offset, unsigned width, std::uint32_t value) = 0;
};

} // namespace pci
