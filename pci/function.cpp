#include "pci/function.hpp"

#include <limits>

namespace pci {

std::uint32_t function::copy(std::size_t offset, unsigned width) const {
  if (offset > config.size() || width > config.size() - offset)
    return std::numeric_limits<std::uint32_t>::max() >> (32 - 8 * width);
  std::uint32_t value = 0;
  for (unsigned i = 0; i < width; ++i)
    value |= std::to_integer<std::uint32_t>(config[offset + i]) << (8 * i);
  return value;
}

} // namespace pci
