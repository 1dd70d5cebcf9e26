// SPDX-License-Identifier: GPL-2.0-or-later
// Any text: the parsers neither crash nor accept what does not mean the same when it is written out and read again.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "pci/address.hpp"
#include "pci/protocol/xenbus.hpp"

using namespace pci;

namespace {

void require(bool condition) {
  if (!condition)
    std::abort();
}

void check_failure(const failure& what) {
  const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
  require(what.error == EINVAL && what.context.size() < 200);
  require(std::all_of(what.context.begin(), what.context.end(), printable));
}

void check_pattern(const sbdf_pattern& pattern) {
  require(pattern.slot || !pattern.function);
  require(pattern.slot.value_or(0) < 32 && pattern.function.value_or(0) < 8);
  require(pattern.matches(
      make_sbdf(pattern.segment, pattern.bus, pattern.slot.value_or(31), pattern.function.value_or(7))));
}

void check_addresses(std::string_view text) {
  if (const auto found = parse_sbdf(text)) {
    require(parse_sbdf(to_string(*found)) == found);
    require(parse_pattern(text)->matches(*found));
  } else {
    check_failure(found.error());
  }
  if (const auto found = parse_node_sbdf(text))
    require(parse_node_sbdf(to_vdev_string(*found)) == found && parse_sbdf(text) == found);
  else
    check_failure(found.error());
}

void check_patterns(std::string_view text) {
  if (const auto found = parse_pattern(text))
    check_pattern(*found);
  else
    check_failure(found.error());
  if (const auto found = parse_hide_list(text))
    std::for_each(found->begin(), found->end(), check_pattern);
  else
    check_failure(found.error());
}

void check_numbers(std::string_view text) {
  const auto number = parse_number(text, 0xffffffff);
  const auto small = parse_number(text, 8);
  require(!small || small == number);
  require(static_cast<std::uint32_t>(parse_state(text)) == small.value_or(0));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  check_addresses(text);
  check_patterns(text);
  check_numbers(text);
  return 0;
}
