#include "platform/hypervisor.hpp"

#include <cerrno>

#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/registers.hpp"

namespace platform {

pci::result<std::optional<msix_function>> msix_function::look(const pci::sbdf& address, pci::config_port& hardware) {
  // STATUS, because a virtual function's vendor register reads all ones even in health.
  const auto status = hardware.read(pci::reg::status, 2);
  if (!status)
    return tl::unexpected(status.error());
  if (*status == 0xffff)
    return pci::fail(ENODEV, "no answer from " + pci::to_string(address));
  const auto capability = pci::find_capability(hardware, pci::reg::cap_msix);
  if (!capability)
    return tl::unexpected(capability.error());
  if (!*capability)
    return std::optional<msix_function>{};
  return msix_function(address);
}

} // namespace platform
