// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/config_space/refused_writes.hpp"

#include <algorithm>

#include "pci/config_space/field_list.hpp"

namespace pci {
namespace {

bool overlap(const quirk& a, const quirk& b) { return a.offset < b.offset + b.width && b.offset < a.offset + a.width; }

/// Both are aligned to their sizes, so one holds the other.
quirk united(const quirk& a, const quirk& b) {
  const quirk& wide = a.width >= b.width ? a : b;
  const quirk& narrow = a.width >= b.width ? b : a;
  return {wide.offset, wide.width, wide.mask | (narrow.mask << (8U * (narrow.offset - unsigned{wide.offset})))};
}

} // namespace

void refused_writes::note(const refused_write& one) {
  ++count_;
  const auto same = [&](const refused_write& each) { return each.offset == one.offset && each.size == one.size; };
  const auto known = std::find_if(last_.begin(), last_.end(), same);
  refused_write next = one;
  next.count = 1;
  if (known != last_.end()) {
    next.count += known->count;
    next.mask |= known->mask;
    last_.erase(known);
  } else if (last_.size() == most) {
    last_.erase(last_.begin());
  }
  last_.push_back(next);
}

std::vector<quirk> suggested_quirks(std::vector<quirk> present, std::span<const refused_write> refused,
                                    std::span<const field> fields, std::size_t size) {
  for (const refused_write& each : refused) {
    quirk wanted{each.offset, each.size, each.mask};
    if (each.error != op_error::success || !acceptable(wanted, fields, size))
      continue;
    // All that it overlaps, which may be several narrow ones, becomes one with it.
    for (const quirk& other : present)
      if (overlap(wanted, other))
        wanted = united(wanted, other);
    std::erase_if(present, [&](const quirk& other) { return overlap(wanted, other); });
    present.push_back(wanted);
  }
  std::sort(present.begin(), present.end(), [](const quirk& a, const quirk& b) { return a.offset < b.offset; });
  return present;
}

} // namespace pci
