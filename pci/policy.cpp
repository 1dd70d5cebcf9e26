// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/policy.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <optional>

#include <fmt/format.h>

#include "pci/config_space/field.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/scanner.hpp"

namespace pci {
namespace {

constexpr std::string_view white_space = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(white_space);
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(white_space) - first + 1);
}

/// A whole hexadecimal number, with or without 0x.
std::optional<std::uint32_t> hexadecimal(std::string_view text) {
  if (text.starts_with("0x") || text.starts_with("0X"))
    text.remove_prefix(2);
  std::uint32_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, 16);
  if (error != std::errc{} || stop != end)
    return std::nullopt;
  return value;
}

/// The three numbers between two colons.
std::optional<std::array<std::uint32_t, 3>> numbers(std::string_view text) {
  std::array<std::uint32_t, 3> found{};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const bool last = i + 1 == found.size();
    const auto colon = last ? text.size() : text.find(':');
    if (colon == std::string_view::npos)
      return std::nullopt;
    const auto number = hexadecimal(text.substr(0, colon));
    if (!number)
      return std::nullopt;
    found.at(i) = *number;
    text.remove_prefix(last ? colon : colon + 1);
  }
  return found;
}

/// Why the numbers name no register; empty when they do.
std::string_view objection(std::uint32_t offset, std::uint32_t width, std::uint32_t mask) {
  if (offset >= reg::space_end)
    return "the register is beyond fff";
  if (width != 1 && width != 2 && width != 4)
    return "the size is not 1, 2 or 4";
  if (offset + width > reg::space_end)
    return "the register ends beyond fff";
  if ((mask & ~all_bits(width)) != 0)
    return "the mask is wider than the register";
  return {};
}

} // namespace

result<quirk> parse_quirk(std::string_view text) {
  const auto found = numbers(trimmed(text));
  if (!found)
    return fail(EINVAL, fmt::format("quirk {}: expected REG:SIZE:MASK, hexadecimal", quoted(text)));
  const auto [offset, width, mask] = *found;
  if (const auto why = objection(offset, width, mask); !why.empty())
    return fail(EINVAL, fmt::format("quirk {}: {}", quoted(text), why));
  return quirk{static_cast<std::uint16_t>(offset), static_cast<std::uint8_t>(width), mask};
}

std::string to_string(const quirk& what) { return fmt::format("{:x}:{:x}:{:x}", what.offset, what.width, what.mask); }

result<addressed_quirk> parse_addressed_quirk(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos)
    return fail(EINVAL, fmt::format("quirk {}: expected [DDDD:]BB:SS.F-REG:SIZE:MASK, hexadecimal", quoted(text)));
  const auto address = parse_sbdf(text.substr(0, dash));
  if (!address)
    return tl::unexpected{address.error()};
  return parse_quirk(text.substr(dash + 1)).map([&](const quirk& what) { return addressed_quirk{*address, what}; });
}

std::string_view to_string(rdm_policy policy) { return policy == rdm_policy::relaxed ? "relaxed" : "strict"; }

std::string_view to_string(write_mode mode) {
  constexpr std::array<std::string_view, 3> names{"strict", "listed", "all"};
  return names.at(static_cast<std::size_t>(mode));
}

write_mode mode_of(const policy& policy) {
  if (policy.permissive)
    return write_mode::all;
  return policy.quirks.empty() ? write_mode::strict : write_mode::listed;
}

result<policy> apply(policy to, const policy_change& change) {
  to.permissive = change.permissive.value_or(to.permissive);
  to.allow_interrupt_control = change.interrupt_control.value_or(to.allow_interrupt_control);
  if (change.close) {
    const auto closed = std::erase_if(to.quirks, [&](const quirk& each) { return each.offset == *change.close; });
    if (closed == 0)
      return fail(ENOENT, fmt::format("there is no quirk at {:x}", *change.close));
  }
  if (change.open) {
    const auto same = [&](const quirk& each) {
      return each.offset == change.open->offset && each.width == change.open->width;
    };
    std::erase_if(to.quirks, same);
    to.quirks.push_back(*change.open);
  }
  return to;
}

} // namespace pci
