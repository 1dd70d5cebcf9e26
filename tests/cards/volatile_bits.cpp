#include "volatile_bits.hpp"

#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/registers.hpp"

namespace cards {

namespace reg = pci::reg;

std::uint32_t changing_bits(const pci::function& function, std::uint16_t offset) {
  if (offset == reg::command) {
    return 0xffff0000U; // STATUS
  }
  // What was read last, and the flag that says that it is there.
  if (const auto vpd = pci::find_capability(function, reg::cap_vpd)) {
    if (offset == *vpd + reg::vpd_data) {
      return 0xffffffffU;
    }
  }
  return 0;
}

} // namespace cards
