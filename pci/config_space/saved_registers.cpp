// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/config_space/saved_registers.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/field.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/saved_register_table.hpp"

namespace pci {
namespace {

using saved::order;
using saved::owner;
using saved::rule;

/// Where a capability's registers end at the latest: where the next one begins.
class extents {
public:
  explicit extents(const function& function) {
    for (const auto& each : list_capabilities(function))
      begins_.push_back(each.offset);
    for (const auto each : list_extended_capabilities(function))
      begins_.push_back(each);
    std::ranges::sort(begins_);
  }
  [[nodiscard]] unsigned end(unsigned begin) const {
    const auto next = std::ranges::upper_bound(begins_, begin);
    const unsigned limit = begin < reg::extended ? reg::extended : reg::space_end;
    return next == begins_.end() ? limit : std::min<unsigned>(*next, limit);
  }

private:
  std::vector<std::uint16_t> begins_;
};

class plan {
public:
  plan(const function& function, bool freely) : function_(function), freely_(freely), extents_(function) {}

  std::vector<saved_register> make() {
    const bool bridge = function_.header_layout() == 1;
    add(saved::header, 0, reg::first_capability);
    add(bridge ? std::span<const rule>{saved::type1} : std::span<const rule>{saved::type0}, 0, reg::first_capability);
    for (const auto& each : list_capabilities(function_))
      add_capability(each);
    for (const std::uint16_t each : list_extended_capabilities(function_))
      add_extended(each);
    std::ranges::stable_sort(found_, {}, &ranked::when);
    std::vector<saved_register> all;
    for (const auto& each : found_)
      all.push_back(each.what);
    return all;
  }

private:
  struct ranked {
    order when;
    saved_register what;
  };

  void add(std::span<const rule> rules, unsigned base, unsigned end, std::optional<unsigned> count = {}) {
    for (const auto& each : rules)
      for (unsigned index = 0; index < (each.stride == 0 ? 1U : count.value_or(1)); ++index)
        add(each, base + each.offset + index * each.stride, end);
  }

  void add(const rule& what, unsigned offset, unsigned end) {
    if (offset + what.width > end || offset % what.width != 0)
      return;
    saved_register one{
        static_cast<std::uint16_t>(offset), what.width, what.restored, what.changing, what.zero, what.essential};
    if (what.whose == owner::kernel) {
      one.changing |= one.restored;
      if (!freely_)
        one.restored = 0;
    }
    // A virtual function's are in its physical one's capability, and its line is nobody's.
    if (function_.is_virtual() && what.whose == owner::physical) {
      one.changing |= one.restored | one.essential | what.constant;
      one.restored = one.essential = 0;
    }
    if (freely_) // reserved bits are what a card makes of them
      one.restored |= all_bits(one.width) & ~one.changing & ~one.zero;
    found_.push_back({what.when, one});
  }

  void add_capability(const listed_capability& what) {
    const unsigned end = extents_.end(what.offset);
    if (what.id == reg::cap_msi)
      return add_msi(what.offset, end);
    const bool old_express =
        what.id == reg::cap_express && (function_.copy(what.offset + 2U, 2) & saved::express_version) < 2;
    for (const auto& each : saved::capabilities)
      if (each.id == what.id)
        add(each.rules, what.offset, old_express ? std::min(end, what.offset + saved::end_of_express_1) : end);
  }

  /// PCI 3.0 section 6.8.1: what follows the control register depends on it.
  void add_msi(unsigned at, unsigned end) {
    const std::uint32_t control = function_.copy(at + reg::message_control, 2);
    const unsigned data = (control & reg::msi_64) != 0 ? 12 : 8;
    add(saved::msi, at, end);
    if (data == 12)
      add(rule{8, 4, 0xffffffff}, at + 8, end);
    add(rule{0, 2, 0xffff}, at + data, end);
    if ((control & reg::msi_maskable) != 0) {
      add(rule{0, 4, 0xffffffff}, at + data + 4, end);
      add(rule{0, 4, 0, 0xffffffff}, at + data + 8, end); // pending
    }
  }

  void add_extended(unsigned at) {
    const auto id = static_cast<std::uint16_t>(function_.copy(at, 4));
    for (const auto& each : saved::extended)
      if (each.id == id)
        add(each.rules, at, extents_.end(at), count_of(id, at));
  }

  /// How often the registers of a capability come that come more than once.
  [[nodiscard]] unsigned count_of(std::uint16_t id, unsigned at) const {
    if (id == saved::ext_vc || id == saved::ext_vc_mfvc) // extended virtual channels beside the first
      return 1 + (function_.copy(at + 4, 4) & 7U);
    if (id == saved::ext_rebar) // of the first one's control
      return std::clamp(function_.copy(at + 8, 4) >> 5U & 7U, 1U, 6U);
    return saved::most_lanes;
  }

  const function& function_;
  bool freely_;
  extents extents_;
  std::vector<ranked> found_;
};

} // namespace

std::vector<saved_register> saved_registers(const function& function, bool freely) {
  return plan{function, freely}.make();
}

} // namespace pci
