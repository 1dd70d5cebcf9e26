#include "pci/config_space/capabilities.hpp"

#include <bitset>
#include <functional>

#include "pci/config_space/base_registers.hpp"
#include "pci/config_space/registers.hpp"

namespace pci {
namespace {

using reader = std::function<result<std::uint32_t>(std::uint16_t offset, unsigned width)>;

/// Follows the list of capabilities to its end, or to the first one that is `wanted`.
result<std::vector<listed_capability>> walk(const reader& read, std::optional<std::uint8_t> wanted) {
  std::vector<listed_capability> found;
  const auto status = read(reg::status, 2);
  if (!status)
    return tl::unexpected{status.error()};
  if ((*status & reg::status_capabilities) == 0)
    return found;
  auto next = read(reg::capabilities, 1);
  std::bitset<reg::extended> seen;
  while (next) {
    const auto offset = static_cast<std::uint8_t>(*next & 0xfc); // the two low bits are reserved
    if (offset < reg::first_capability || seen[offset])
      return found;
    seen.set(offset);
    const auto header = read(offset, 2);
    if (!header)
      return tl::unexpected{header.error()};
    const auto id = static_cast<std::uint8_t>(*header);
    if (id == 0xff) // nothing answers there
      return found;
    found.push_back({id, offset});
    if (id == wanted)
      return found;
    next = *header >> 8;
  }
  return tl::unexpected{next.error()};
}

/// The wanted one can only be the last that the walk came to.
std::optional<std::uint8_t> last_if(const std::vector<listed_capability>& walked, std::uint8_t wanted) {
  return !walked.empty() && walked.back().id == wanted ? std::optional{walked.back().offset} : std::nullopt;
}

/// The copy cannot fail to be read.
std::vector<listed_capability> walk_copy(const function& function, std::optional<std::uint8_t> wanted) {
  const auto read = [&function](std::uint16_t offset, unsigned width) -> result<std::uint32_t> {
    return function.copy(offset, width);
  };
  return walk(read, wanted).value_or(std::vector<listed_capability>{});
}

/// The registers from `offset` on lie within the conventional 256 bytes.
constexpr bool fits(unsigned offset, unsigned length) { return offset + length <= reg::extended; }

/// The table lies within the memory that the host has given its BAR.
bool holds_table(const resource& bar, std::uint32_t table_offset, std::uint32_t entries) {
  constexpr std::uint64_t entry_size = 16;
  return usable(bar) && bar.is_memory() && table_offset + entries * entry_size <= bar.size();
}

} // namespace

std::vector<listed_capability> list_capabilities(const function& function) { return walk_copy(function, std::nullopt); }

std::vector<std::uint16_t> list_extended_capabilities(const function& function) {
  std::vector<std::uint16_t> found;
  std::bitset<reg::space_end> seen;
  unsigned offset = function.config_size() < reg::space_end ? 0 : reg::extended;
  while (offset >= reg::extended && !seen[offset]) {
    const std::uint32_t header = function.copy(offset, 4);
    if (header == 0 || header == 0xffffffff)
      break;
    seen.set(offset);
    found.push_back(static_cast<std::uint16_t>(offset));
    offset = header >> 20 & 0xffc;
  }
  return found;
}

std::optional<std::uint8_t> find_capability(const function& function, std::uint8_t id) {
  return last_if(walk_copy(function, id), id);
}

result<std::optional<std::uint8_t>> find_capability(config_port& port, std::uint8_t id) {
  const auto read = [&port](std::uint16_t offset, unsigned width) { return port.read(offset, width); };
  const auto walked = walk(read, id);
  if (!walked)
    return tl::unexpected{walked.error()};
  return last_if(*walked, id);
}

std::optional<msix_capability> find_msix(const function& function) {
  constexpr unsigned length = 12;
  const auto offset = find_capability(function, reg::cap_msix);
  if (!offset || !fits(*offset, length))
    return std::nullopt;
  const std::uint32_t control = function.copy(*offset + reg::message_control, 2);
  const std::uint32_t table = function.copy(*offset + reg::msix_table, 4);
  const auto entries = static_cast<std::uint16_t>((control & reg::msix_table_size) + 1);
  const auto bar = static_cast<std::uint8_t>(table & reg::msix_bir);
  if (bar >= function::rom || !holds_table(function.resources.at(bar), table & ~reg::msix_bir, entries))
    return std::nullopt;
  return msix_capability{*offset, entries, bar, function.resources.at(bar).start};
}

std::optional<msi_capability> find_msi(const function& function) {
  const auto offset = find_capability(function, reg::cap_msi);
  if (!offset)
    return std::nullopt;
  const std::uint32_t control = function.copy(*offset + reg::message_control, 2);
  const msi_capability found{*offset, (control & reg::msi_maskable) != 0, (control & reg::msi_64) != 0};
  // Section 6.8.1: 10 bytes, 4 more for a 64-bit address, 10 more (from an aligned offset) for mask and pending bits.
  const unsigned length = 10U + (found.is_64_bit ? 4U : 0U) + (found.maskable ? 10U : 0U);
  return fits(*offset, length) ? std::optional{found} : std::nullopt;
}

} // namespace pci
