// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/address.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "pci/scanner.hpp"

namespace pci {
namespace {

/// Segment (when there is one), bus, and the colon before the slot.
sbdf_pattern scan_bus(scanner& in, bool with_segment) {
  sbdf_pattern found;
  if (with_segment) {
    found.segment = static_cast<std::uint16_t>(in.number("a segment", 0xffff));
    in.want(':');
  }
  found.bus = static_cast<std::uint8_t>(in.number("a bus", 0xff));
  in.want(':');
  return found;
}

sbdf_pattern scan_pattern(scanner& in) {
  sbdf_pattern found = scan_bus(in, in.names_segment());
  const bool any_slot = in.take('*');
  if (!any_slot)
    found.slot = static_cast<std::uint8_t>(in.number("a slot", 0x1f));
  in.want('.');
  if (any_slot) // pciback knows no "*.F": a wildcard slot is followed by a wildcard function
    in.want('*');
  else if (!in.take('*'))
    found.function = static_cast<std::uint8_t>(in.number("a function", 7));
  return found;
}

sbdf scan_address(scanner& in, bool with_segment) {
  const sbdf_pattern bus = scan_bus(in, with_segment);
  const auto slot = static_cast<std::uint8_t>(in.number("a slot", 0x1f));
  in.want('.');
  const auto function = static_cast<std::uint8_t>(in.number("a function", 7));
  return make_sbdf(bus.segment, bus.bus, slot, function);
}

/// `text` is_beyond_xen. It is named as it is usually written: blanks and zeros around it are whoever's.
tl::unexpected<failure> beyond_xen(std::string_view text) {
  const auto colon = text.find(':');
  const auto rest = parse_sbdf(fmt::format("0000{}", text.substr(colon))).value_or(sbdf{});
  return fail(EINVAL, fmt::format("{}{} is beyond Xen, which knows segments up to ffff: no guest can have it; with "
                                  "Intel VMD off in the firmware's setup the card has an address of the usual kind",
                                  text.substr(0, colon), to_string(rest).substr(4)));
}

} // namespace

std::string to_string(const sbdf& address) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", address.segment, address.bus, address.slot(), address.function());
}

std::string to_vdev_string(const sbdf& address) {
  return fmt::format("{:04x}:{:02x}:{:02x}.{:02x}", address.segment, address.bus, address.slot(), address.function());
}

std::string to_libxl_string(const sbdf& address) {
  return fmt::format("{:04x}-{:02x}-{:02x}-{:x}", address.segment, address.bus, address.slot(), address.function());
}

result<sbdf> parse_sbdf(std::string_view text) {
  if (is_beyond_xen(text))
    return beyond_xen(text);
  scanner in{text};
  in.skip_space();
  const sbdf found = scan_address(in, in.names_segment());
  in.want_end();
  if (in.failed())
    return in.refuse();
  return found;
}

bool is_beyond_xen(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon < 5 || colon > 8)
    return false;
  const auto segment = text.substr(0, colon);
  // With a segment that fits the rest must be an address.
  return segment.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos &&
         segment.substr(0, segment.size() - 4).find_first_not_of('0') != std::string_view::npos &&
         parse_sbdf(fmt::format("0000{}", text.substr(colon))).has_value();
}

result<sbdf> parse_node_sbdf(std::string_view text) {
  scanner in{text};
  in.skip_space();
  const sbdf found = scan_address(in, true);
  in.want_end();
  if (in.failed())
    return in.refuse();
  return found;
}

bool sbdf_pattern::matches(const sbdf& address) const {
  return address.segment == segment && address.bus == bus && slot.value_or(address.slot()) == address.slot() &&
         function.value_or(address.function()) == address.function();
}

result<sbdf_pattern> parse_pattern(std::string_view text) {
  if (is_beyond_xen(text))
    return beyond_xen(text);
  scanner in{text};
  in.skip_space();
  const sbdf_pattern found = scan_pattern(in);
  in.want_end();
  if (in.failed())
    return in.refuse();
  return found;
}

result<std::vector<sbdf_pattern>> parse_hide_list(std::string_view text) {
  scanner in{text};
  std::vector<sbdf_pattern> all;
  for (in.skip_space(); !in.at_end(); in.skip_space()) {
    const std::size_t part = in.position();
    in.want('(');
    in.skip_space();
    const sbdf_pattern found = scan_pattern(in);
    in.skip_space();
    in.want(')');
    if (in.failed())
      return in.refuse_from(part);
    all.push_back(found);
  }
  return all;
}

} // namespace pci
