// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/config_space/register_names.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/registers.hpp"

namespace pci {
namespace {

struct named {
  unsigned number = 0;
  std::string_view name;
};

constexpr std::array common_header{
    named{0x00, "VENDOR_ID"},
    named{0x02, "DEVICE_ID"},
    named{0x04, "COMMAND"},
    named{0x06, "STATUS"},
    named{0x08, "REVISION"},
    named{0x09, "CLASS"},
    named{0x0c, "CACHE_LINE_SIZE"},
    named{0x0d, "LATENCY_TIMER"},
    named{0x0e, "HEADER_TYPE"},
    named{0x0f, "BIST"},
    named{0x10, "BAR0"},
    named{0x14, "BAR1"},
    named{0x34, "CAPABILITIES"},
    named{0x3c, "INTERRUPT_LINE"},
    named{0x3d, "INTERRUPT_PIN"},
};
constexpr std::array header_type0{
    named{0x18, "BAR2"},      named{0x1c, "BAR3"},        named{0x20, "BAR4"},
    named{0x24, "BAR5"},      named{0x28, "CARDBUS_CIS"}, named{0x2c, "SUBSYSTEM_VENDOR_ID"},
    named{0x2e, "SUBSYSTEM"}, named{0x30, "ROM"},         named{0x3e, "MIN_GNT"},
    named{0x3f, "MAX_LAT"},
};
constexpr std::array header_type1{
    named{0x18, "PRIMARY_BUS"},          named{0x19, "SECONDARY_BUS"},  named{0x1a, "SUBORDINATE_BUS"},
    named{0x1b, "SEC_LATENCY"},          named{0x1c, "IO_BASE"},        named{0x1d, "IO_LIMIT"},
    named{0x1e, "SEC_STATUS"},           named{0x20, "MEMORY_BASE"},    named{0x22, "MEMORY_LIMIT"},
    named{0x24, "PREFETCH_BASE"},        named{0x26, "PREFETCH_LIMIT"}, named{0x28, "PREFETCH_BASE_UPPER"},
    named{0x2c, "PREFETCH_LIMIT_UPPER"}, named{0x30, "IO_BASE_UPPER"},  named{0x38, "ROM"},
    named{0x3e, "BRIDGE_CONTROL"},
};

constexpr std::array capability_names{
    named{0x01, "PM"},      named{0x02, "AGP"},
    named{0x03, "VPD"},     named{0x04, "Slot"},
    named{0x05, "MSI"},     named{0x07, "PCI-X"},
    named{0x08, "HT"},      named{0x09, "Vendor"},
    named{0x0a, "Debug"},   named{0x0d, "Bridge Subsystem"},
    named{0x10, "Express"}, named{0x11, "MSI-X"},
    named{0x12, "SATA"},    named{0x13, "AF"},
    named{0x14, "EA"},
};
constexpr std::array extended_names{
    named{0x01, "AER"},
    named{0x02, "VC"},
    named{0x03, "Serial Number"},
    named{0x04, "Power Budgeting"},
    named{0x0b, "Vendor"},
    named{0x0d, "ACS"},
    named{0x0e, "ARI"},
    named{0x0f, "ATS"},
    named{0x10, "SR-IOV"},
    named{0x13, "PRI"},
    named{0x15, "Resizable BAR"},
    named{0x16, "DPA"},
    named{0x17, "TPH"},
    named{0x18, "LTR"},
    named{0x19, "Secondary Express"},
    named{0x1b, "PASID"},
    named{0x1d, "DPC"},
    named{0x1e, "L1 PM"},
    named{0x1f, "PTM"},
    named{0x25, "Data Link"},
};

/// Registers of a capability: its id (extended ones from 10000 on) and the offset in it, as one number.
constexpr unsigned extended_id = 0x10000;
constexpr unsigned at(unsigned id, unsigned offset) { return id << 12 | offset; }
constexpr std::array registers{
    named{at(0x01, 2), "PMC"},
    named{at(0x01, 4), "PMCSR"},
    named{at(0x03, 2), "Address"},
    named{at(0x03, 4), "Data"},
    named{at(0x05, 2), "Message Control"},
    named{at(0x05, 4), "Message Address"},
    named{at(0x10, 0x08), "Device Control"},
    named{at(0x10, 0x0a), "Device Status"},
    named{at(0x10, 0x10), "Link Control"},
    named{at(0x10, 0x12), "Link Status"},
    named{at(0x10, 0x18), "Slot Control"},
    named{at(0x10, 0x1a), "Slot Status"},
    named{at(0x10, 0x1c), "Root Control"},
    named{at(0x10, 0x28), "Device Control 2"},
    named{at(0x10, 0x30), "Link Control 2"},
    named{at(0x11, 2), "Message Control"},
    named{at(0x11, 4), "Table"},
    named{at(0x11, 8), "PBA"},
    named{at(0x13, 4), "Control"},
    named{at(extended_id | 0x01, 0x04), "Uncorrectable Error Status"},
    named{at(extended_id | 0x01, 0x08), "Uncorrectable Error Mask"},
    named{at(extended_id | 0x01, 0x0c), "Uncorrectable Error Severity"},
    named{at(extended_id | 0x01, 0x10), "Correctable Error Status"},
    named{at(extended_id | 0x01, 0x14), "Correctable Error Mask"},
    named{at(extended_id | 0x01, 0x18), "Control"},
    named{at(extended_id | 0x0d, 0x06), "Control"},
    named{at(extended_id | 0x0e, 0x06), "Control"},
    named{at(extended_id | 0x0f, 0x06), "Control"},
    named{at(extended_id | 0x10, 0x08), "Control"},
    named{at(extended_id | 0x10, 0x10), "NumVFs"},
    named{at(extended_id | 0x18, 0x04), "Max Snoop Latency"},
    named{at(extended_id | 0x18, 0x06), "Max No-Snoop Latency"},
    named{at(extended_id | 0x1b, 0x06), "Control"},
    named{at(extended_id | 0x1e, 0x08), "Control 1"},
    named{at(extended_id | 0x1f, 0x08), "Control"},
};

std::string_view find(std::span<const named> among, unsigned number) {
  const auto found = std::find_if(among.begin(), among.end(), [&](const named& each) { return each.number == number; });
  return found == among.end() ? std::string_view{} : found->name;
}

struct capability_place {
  unsigned id = 0;
  std::uint16_t offset = 0;
};

/// The capability that begins last at or before an offset.
std::optional<capability_place> capability_before(const function& function, std::uint16_t offset) {
  std::optional<capability_place> best;
  const auto consider = [&](unsigned id, std::uint16_t begin) {
    if (begin <= offset && (!best || begin > best->offset))
      best = capability_place{id, begin};
  };
  if (offset < reg::extended) {
    for (const auto& each : list_capabilities(function))
      consider(each.id, each.offset);
  } else {
    for (const std::uint16_t each : list_extended_capabilities(function))
      consider(extended_id | (function.copy(each, 4) & 0xffffU), each);
  }
  return best;
}

std::string header_name(const function& function, std::uint16_t offset) {
  if (const auto name = find(common_header, offset); !name.empty())
    return std::string{name};
  const bool bridge = function.header_layout() == 1;
  return std::string{bridge ? find(header_type1, offset) : find(header_type0, offset)};
}

} // namespace

namespace {

std::string name_or_number(std::span<const named> among, unsigned number) {
  const auto name = find(among, number);
  return name.empty() ? fmt::format("Capability {:x}", number) : std::string{name};
}

} // namespace

std::string capability_name(std::uint8_t id) { return name_or_number(capability_names, id); }

std::string extended_capability_name(std::uint16_t id) { return name_or_number(extended_names, id); }

std::string register_name(const function& function, std::uint16_t offset) {
  if (offset < reg::first_capability)
    return header_name(function, offset);
  const auto place = capability_before(function, offset);
  if (!place)
    return {};
  const bool extended = place->id >= extended_id;
  const auto number = place->id & (extended_id - 1);
  const auto name = extended ? name_or_number(extended_names, number) : name_or_number(capability_names, number);
  const auto within = unsigned{offset} - place->offset;
  const auto what = find(registers, at(place->id, within));
  return fmt::format("{}+{:x}{}", name, within, what.empty() ? std::string{} : fmt::format(" ({})", what));
}

} // namespace pci
