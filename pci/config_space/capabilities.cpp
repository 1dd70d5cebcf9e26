// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/config_space/capabilities.hpp"

#include <bitset>
#include <functional>

#include "pci/config_space/base_registers.hpp"
#include "pci/config_space/field.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/usable.hpp"

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

/// How many bytes of registers belong to what is used of a capability. Source: PCI 3.0 section 6.8 (MSI, MSI-X),
/// appendix I (VPD), PCI Power Management 1.2 section 3.2, PCI Express Base 5.0 section 7.5.3.
unsigned length_of(const function& function, const listed_capability& what) {
  switch (what.id) {
  case reg::cap_pm:
  case reg::cap_vpd:
    return 8;
  case reg::cap_msi: { // 4 more for a 64-bit address, 10 more (from an aligned offset) for mask and pending bits
    const std::uint32_t control = function.copy(what.offset + reg::message_control, 2);
    return 10U + ((control & reg::msi_64) != 0 ? 4U : 0U) + ((control & reg::msi_maskable) != 0 ? 10U : 0U);
  }
  case reg::cap_msix:
  case reg::cap_express: // up to Device Status; what follows is there or not by its version and kind
    return 12;
  default:
    return 2;
  }
}

bool fits(const function& function, const listed_capability& what) {
  return what.offset + length_of(function, what) <= reg::extended;
}

/// Of these a function has one, and only the first is looked at.
bool is_single(std::uint8_t id) {
  return id == reg::cap_pm || id == reg::cap_vpd || id == reg::cap_msi || id == reg::cap_msix || id == reg::cap_express;
}

/// Where one of the structures of MSI-X lies in the function's memory.
struct placed {
  std::size_t bar = 0;
  std::uint64_t first = 0, end = 0; ///< bytes from the BAR's begin

  [[nodiscard]] bool overlaps(const placed& other) const {
    return bar == other.bar && first < other.end && other.first < end;
  }
};

/// `where` is the register that says it. Empty: not in memory that the host has given the function.
std::optional<placed> place(const function& function, std::uint32_t where, std::uint64_t length) {
  const placed found{where & reg::msix_bir, where & ~reg::msix_bir, (where & ~reg::msix_bir) + length};
  if (found.bar >= function::rom)
    return std::nullopt;
  const resource& bar = function.resources.at(found.bar);
  return usable(bar) && bar.is_memory() && found.end <= bar.size() ? std::optional{found} : std::nullopt;
}

std::uint16_t entries_of(const function& function, std::uint8_t offset) {
  return static_cast<std::uint16_t>((function.copy(offset + reg::message_control, 2) & reg::msix_table_size) + 1U);
}

/// PCI 3.0 section 6.8.2: 16 bytes an entry, and a pending bit for each in words of 64.
std::string_view defect_of_msix(const function& function, std::uint8_t offset) {
  constexpr unsigned entry_size = 16, word_bits = 64, word_size = 8;
  const unsigned entries = entries_of(function, offset);
  const auto table = place(function, function.copy(offset + reg::msix_table, 4), std::uint64_t{entries} * entry_size);
  const auto pending = place(function, function.copy(offset + reg::msix_pba, 4),
                             std::uint64_t{(entries + word_bits - 1) / word_bits} * word_size);
  if (!table)
    return "its table is not in memory that the host has given the function";
  if (!pending)
    return "its pending bits are not in memory that the host has given the function";
  if (is_fixed(function.resources.at(table->bar)) || is_fixed(function.resources.at(pending->bar)))
    return "Xen would look for its table where the BAR's register points, and that is nowhere (Enhanced Allocation)";
  return table->overlaps(*pending) ? "its table and its pending bits overlap" : std::string_view{};
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
  const auto offset = last_if(walk_copy(function, id), id);
  return offset && fits(function, {id, *offset}) ? offset : std::nullopt;
}

bool is_silent(const function& function) { return function.copy(reg::status, 2) == all_bits(2); }

std::string_view defect_of(const function& function, const listed_capability& what) {
  if (!fits(function, what))
    return "its registers leave the 256 bytes";
  if (is_single(what.id) && find_capability(function, what.id) != what.offset)
    return "it is not the first of its kind";
  return what.id == reg::cap_msix ? defect_of_msix(function, what.offset) : std::string_view{};
}

bool usable(const function& function, const listed_capability& what) { return defect_of(function, what).empty(); }

std::vector<listed_capability> usable_capabilities(const function& function) {
  auto all = list_capabilities(function);
  std::erase_if(all, [&](const listed_capability& each) { return !usable(function, each); });
  return all;
}

std::optional<msix_capability> find_msix(const function& function) {
  const auto offset = find_capability(function, reg::cap_msix);
  if (!offset || !usable(function, {reg::cap_msix, *offset}))
    return std::nullopt;
  const auto bar = static_cast<std::uint8_t>(function.copy(*offset + reg::msix_table, 4) & reg::msix_bir);
  return msix_capability{*offset, entries_of(function, *offset), bar, function.resources.at(bar).start};
}

std::optional<msi_capability> find_msi(const function& function) {
  const auto offset = find_capability(function, reg::cap_msi);
  if (!offset)
    return std::nullopt;
  const std::uint32_t control = function.copy(*offset + reg::message_control, 2);
  return msi_capability{*offset, (control & reg::msi_maskable) != 0, (control & reg::msi_64) != 0};
}

} // namespace pci
