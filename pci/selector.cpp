// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/selector.hpp"

#include <bit>

#include <fmt/format.h>

#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/scanner.hpp"

namespace pci {
namespace {

constexpr std::uint32_t bridge_class = 0x06;
constexpr unsigned class_digits = 6;
constexpr unsigned serial_bytes = 8;
constexpr std::uint16_t serial_capability = 0x0003;
constexpr std::uint16_t serial_low = 4, serial_high = 8; // from the capability's start

std::string ids_text(std::uint16_t vendor, std::uint16_t device) {
  return fmt::format("{:04x}:{:04x}", vendor, device);
}

std::uint16_t scan_id(scanner& in, std::string_view what) {
  return static_cast<std::uint16_t>(in.number(what, 0xffff));
}

unsigned address_rank(const std::optional<sbdf_pattern>& where) {
  return !where ? 0 : where->function ? 3 : where->slot ? 2 : 1;
}

/// What a pin and a card say of the same thing, where they differ.
std::string differ(std::string_view what, const std::string& found, const std::string& pinned) {
  return fmt::format("its {} {} where {} is pinned", what, found, pinned);
}

} // namespace

identity identity_of(const function& what) { return {what.address, what.vendor, what.device, what.class_code}; }

bool is_bridge(const identity& what) { return what.class_code >> 16 == bridge_class; }

// -- vendor and device

bool id_pattern::matches(const identity& what) const {
  return what.vendor == vendor && device.value_or(what.device) == what.device;
}

result<id_pattern> parse_ids(std::string_view text) {
  scanner in{text};
  in.skip_space();
  id_pattern found;
  found.vendor = scan_id(in, "a vendor");
  in.want(':');
  if (!in.take('*'))
    found.device = scan_id(in, "a device or '*'");
  in.want_end();
  if (in.failed())
    return in.refuse();
  return found;
}

std::string to_string(const id_pattern& what) {
  return what.device ? ids_text(what.vendor, *what.device) : fmt::format("{:04x}:*", what.vendor);
}

// -- class

bool class_pattern::matches(const identity& what) const { return (what.class_code & mask) == code; }

result<class_pattern> parse_class(std::string_view text) {
  scanner in{text};
  in.skip_space();
  class_pattern found;
  unsigned digits = 0;
  for (; digits < class_digits; ++digits) {
    const auto any = in.take('*');
    const auto value = any ? std::optional<std::uint32_t>{} : in.take_digit();
    if (!any && !value)
      break;
    const auto shift = 4 * (class_digits - 1 - digits);
    found.code |= value.value_or(0) << shift;
    found.mask |= (any ? 0U : 0xfU) << shift;
  }
  if (found.mask == 0 || digits % 2 != 0)
    in.expect("2, 4 or 6 digits of a class, some of which may be '*',");
  in.want_end();
  if (in.failed())
    return in.refuse();
  return found;
}

std::string to_string(const class_pattern& what) {
  auto text = fmt::format("{:06x}", what.code);
  for (unsigned i = 0; i < class_digits; ++i)
    if ((what.mask >> (4 * (class_digits - 1 - i)) & 0xf) == 0)
      text[i] = '*';
  while (text.size() > 2 && text.ends_with("**"))
    text.resize(text.size() - 2);
  return text;
}

// -- selectors

std::string to_string(const sbdf_pattern& what) {
  if (!what.slot)
    return fmt::format("{:04x}:{:02x}:*.*", what.segment, what.bus);
  if (!what.function)
    return fmt::format("{:04x}:{:02x}:{:02x}.*", what.segment, what.bus, *what.slot);
  return to_string(make_sbdf(what.segment, what.bus, *what.slot, *what.function));
}

selector::selector(const sbdf& one) : address(sbdf_pattern{one.segment, one.bus, one.slot(), one.function()}) {}

bool selector::matches(const identity& what) const {
  return !empty() && (!address || address->matches(what.address)) && (!ids || ids->matches(what)) &&
         (!classes || classes->matches(what));
}

selector::rank selector::exactness() const {
  rank found;
  found.address = address_rank(address);
  found.ids = !ids ? 0 : ids->device ? 2 : 1;
  found.class_digits = classes ? static_cast<unsigned>(std::popcount(classes->mask)) / 4 : 0;
  return found;
}

std::optional<sbdf> selector::whole_address() const {
  if (address_rank(address) != 3)
    return std::nullopt;
  return make_sbdf(address->segment, address->bus, *address->slot, *address->function);
}

std::string to_string(const selector& what) {
  std::string text;
  const auto add = [&text](std::string_view how, const std::string& part) {
    text += (text.empty() ? "" : " ") + fmt::format(fmt::runtime(how), part);
  };
  if (what.address)
    add("{}", to_string(*what.address));
  if (what.ids)
    add("{}", to_string(*what.ids));
  if (what.classes)
    add("of class {}", to_string(*what.classes));
  return text.empty() ? "nothing" : text;
}

// -- what a card says of itself

std::optional<std::uint64_t> serial_number(const function& what) {
  for (const unsigned at : list_extended_capabilities(what))
    if (what.copy(at, 2) == serial_capability)
      return static_cast<std::uint64_t>(what.copy(at + serial_high, 4)) << 32 | what.copy(at + serial_low, 4);
  return std::nullopt;
}

std::string serial_to_string(std::uint64_t serial) {
  std::string text;
  for (unsigned i = serial_bytes; i-- > 0;)
    text += fmt::format("{:02x}{}", serial >> (8 * i) & 0xff, i == 0 ? "" : "-");
  return text;
}

result<std::uint64_t> parse_serial(std::string_view text) {
  scanner in{text};
  in.skip_space();
  std::uint64_t serial = 0;
  for (unsigned i = 0; i < serial_bytes; ++i) {
    if (i != 0)
      in.want('-');
    serial = serial << 8 | in.number("a byte", 0xff);
  }
  in.want_end();
  if (in.failed())
    return in.refuse();
  return serial;
}

std::optional<subsystem_ids> subsystem(const function& what) {
  if (what.header_layout() != 0)
    return std::nullopt;
  return subsystem_ids{static_cast<std::uint16_t>(what.copy(reg::subsystem, 2)),
                       static_cast<std::uint16_t>(what.copy(reg::subsystem + 2U, 2))};
}

std::string mismatch(const pin& wanted, const function& found) {
  if (wanted.ids && !wanted.ids->matches(identity_of(found)))
    return differ("ids are", ids_text(found.vendor, found.device), to_string(*wanted.ids));
  const auto board = subsystem(found);
  if (wanted.board && board != wanted.board)
    return differ("subsystem is", board ? ids_text(board->vendor, board->device) : "absent",
                  ids_text(wanted.board->vendor, wanted.board->device));
  const auto serial = serial_number(found);
  if (wanted.serial && serial != wanted.serial)
    return differ("serial number is", serial ? serial_to_string(*serial) : "absent", serial_to_string(*wanted.serial));
  return {};
}

} // namespace pci
