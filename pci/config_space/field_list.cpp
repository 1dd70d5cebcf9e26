// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/config_space/field_list.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/capability_fields.hpp"
#include "pci/config_space/header_fields.hpp"
#include "pci/config_space/usable.hpp"

namespace pci {
namespace {

/// A GSI has 8 bits here; 255 is what PCI 3.0 section 6.2.4 calls unknown. A virtual function has no line.
std::uint32_t line_of(const function& function) {
  constexpr unsigned last = 254;
  constexpr std::uint32_t unknown = 0xff;
  if (function.is_virtual())
    return 0;
  return function.irq > last ? unknown : function.irq;
}

std::uint32_t constant_value(const function& function, const field& what) {
  switch (what.read) {
  case reading::copy:
    return function.copy(what.offset, what.width);
  case reading::vendor:
    return function.vendor;
  case reading::device:
    return function.device;
  case reading::interrupt_line:
    return line_of(function);
  case reading::pm_capabilities:
    return function.copy(what.offset, what.width) & ~std::uint32_t{reg::pmc_pme_support};
  case reading::hardware:
  case reading::command:
  case reading::bar:
    break;
  }
  return 0;
}

/// The fields of one function, as they are collected.
class collection {
public:
  explicit collection(const function& function) : function_(function) {}

  void add(std::span<const field> table, std::uint16_t base = 0) {
    for (field each : table) {
      each.offset = static_cast<std::uint16_t>(each.offset + base);
      add(each);
    }
  }

  void add(field what) {
    const auto collides = [&](const field& other) { return other.overlaps(what.offset, what.width); };
    if (std::any_of(fields_.begin(), fields_.end(), collides))
      return;
    what.value = constant_value(function_, what);
    fields_.push_back(what);
  }

  /// Gives these bits of a field that is answered from the copy another value; where there is none, nothing changes.
  void overlay(std::uint16_t offset, std::uint32_t bits, std::uint32_t value) {
    for (field& each : fields_)
      if (each.offset == offset && each.read == reading::copy)
        each.value = (each.value & ~bits) | (value & bits);
  }

  [[nodiscard]] std::vector<field> take() { return std::move(fields_); }

private:
  const function& function_;
  std::vector<field> fields_;
};

struct ruled_capability {
  std::uint8_t id;
  std::span<const field> table;
};

constexpr std::array ruled{
    ruled_capability{reg::cap_vpd, capability::vpd},
    ruled_capability{reg::cap_pm, capability::pm},
    ruled_capability{reg::cap_msi, capability::msi},
    ruled_capability{reg::cap_msix, capability::msix},
};

/// What can be used, and is allowed.
std::vector<listed_capability> shown(const function& function, const policy& policy) {
  auto all = usable_capabilities(function);
  std::erase_if(all, [&](const listed_capability& each) {
    return (each.id == reg::cap_msi && !policy.msi) || (each.id == reg::cap_msix && !policy.msix);
  });
  return all;
}

/// Each points to the next that is shown: a guest that follows the list does not meet the others, nor a loop.
void link(collection& fields, std::span<const listed_capability> list) {
  constexpr std::uint32_t pointer = 0xff;
  std::uint32_t next = 0;
  for (std::size_t i = list.size(); i-- > 0;) {
    fields.overlay(list[i].offset, pointer << 8, next << 8);
    next = list[i].offset;
  }
  fields.overlay(reg::capabilities, pointer, next);
}

void add_capabilities(collection& fields, const function& function, const policy& policy) {
  const auto list = shown(function, policy);
  for (const ruled_capability& rules : ruled)
    for (const listed_capability& each : list)
      if (each.id == rules.id)
        fields.add(rules.table, each.offset);
  for (const listed_capability& each : list)
    fields.add(header::constant(each.offset, 2));
  link(fields, list);
  for (const std::uint16_t offset : list_extended_capabilities(function))
    fields.add(header::constant(offset, 4));
}

/// A quirk may open a register that a guest could not write, not change the rule of one that it could.
bool may_open(const field& what) {
  const bool plain = what.read == reading::hardware || what.read == reading::copy;
  return plain && (what.write == writing::none || what.write == writing::uncovered);
}

bool well_formed(const quirk& what, std::size_t size) {
  return (what.width == 1 || what.width == 2 || what.width == 4) && std::size_t{what.offset} + what.width <= size;
}

/// No access can reach a register that is not aligned to its size as a whole: its bytes are opened, each for itself.
void append(std::vector<field>& fields, const quirk& what) {
  if (what.offset % what.width == 0) {
    fields.push_back({what.offset, what.width, reading::hardware, writing::hardware, what.mask});
    return;
  }
  for (unsigned i = 0; i < what.width; ++i)
    fields.push_back({static_cast<std::uint16_t>(what.offset + i), 1, reading::hardware, writing::hardware,
                      what.mask >> (8 * i) & all_bits(1)});
}

} // namespace

bool acceptable(const quirk& what, std::span<const field> fields, std::size_t size) {
  return well_formed(what, size) && std::all_of(fields.begin(), fields.end(), [&](const field& each) {
           return !each.overlaps(what.offset, what.width) || may_open(each);
         });
}

std::vector<field> build_fields(const function& function, const policy& policy) {
  collection fields{function};
  fields.add(header::common);
  const bool bridge = function.header_layout() == 1;
  fields.add(bridge ? std::span<const field>{header::type1} : std::span<const field>{header::type0});
  add_capabilities(fields, function, policy);
  return fields.take();
}

std::vector<quirk> append_quirks(std::vector<field>& fields, const policy& policy, std::size_t size) {
  std::vector<quirk> refused;
  for (const quirk& each : policy.quirks) {
    if (acceptable(each, fields, size))
      append(fields, each);
    else
      refused.push_back(each);
  }
  return refused;
}

std::vector<quirk> refused_quirks(const function& function, const policy& policy) {
  auto fields = build_fields(function, policy);
  return append_quirks(fields, policy, function.config_size());
}

} // namespace pci
