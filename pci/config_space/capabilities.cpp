#include "pci/config_space/capabilities.hpp"

#include <bitset>

#include "pci/config_space/registers.hpp"

namespace pci {
namespace {

/// The bounded walk; `read(offset, width)` returns a result.
template <class Read>
result<std::optional<std::uint8_t>> walk(Read read, std::uint8_t id) {
  const result<std::uint32_t> status = read(reg::status, 2);
  if (!status)
    return tl::unexpected(status.error());
  std::bitset<0x100> seen;
  std::uint16_t at = (*status & reg::status_capabilities) != 0 ? reg::capabilities : 0;
  for (bool first = true; at != 0; first = false) {
    const result<std::uint32_t> link = read(static_cast<std::uint16_t>(first ? at : at + 1), 1);
    if (!link)
      return tl::unexpected(link.error());
    at = static_cast<std::uint16_t>(*link & 0xfc); // the low two bits are reserved
    if (at < 0x40 || seen.test(at))
      return std::nullopt;
    seen.set(at);
    const result<std::uint32_t> found = read(at, 1);
    if (!found)
      return tl::unexpected(found.error());
    if (*found == id)
      return static_cast<std::uint8_t>(at);
  }
  return std::nullopt;
}

} // namespace

std::optional<std::uint8_t> find_capability(const function& function, std::uint8_t id) {
  return *walk(
      [&](std::uint16_t offset, unsigned width) -> result<std::uint32_t> { return function.copy(offset, width); }, id);
}

result<std::optional<std::uint8_t>> find_capability(config_port& port, std::uint8_t id) {
  return walk([&](std::uint16_t offset, unsigned width) { return port.read(offset, width); }, id);
}

std::optional<msix_capability> find_msix(const function& function) {
  const auto at = find_capability(function, reg::cap_msix);
  const auto bar = static_cast<std::uint8_t>(at ? function.copy(*at + reg::msix_table, 4) & 7U : 7U);
  if (bar >= function::rom || !function.resources.at(bar).is_memory())
    return std::nullopt;
  const auto control = function.copy(*at + reg::message_control, 2);
  return msix_capability{*at, static_cast<std::uint16_t>((control & reg::msix_table_size) + 1), bar,
                         function.resources.at(bar).start};
}

std::optional<msi_capability> find_msi(const function& function) {
  const auto at = find_capability(function, reg::cap_msi);
  if (!at)
    return std::nullopt;
  const auto control = function.copy(*at + reg::message_control, 2);
  return msi_capability{*at, (control & reg::msi_maskable) != 0, (control & reg::msi_64) != 0};
}

} // namespace pci
