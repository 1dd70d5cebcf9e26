// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/config_space/decode.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/decoder.hpp"
#include "pci/config_space/register_names.hpp"
#include "pci/config_space/registers.hpp"

namespace pci {
namespace decoding {

std::string flags(std::uint32_t value, std::initializer_list<flag> of) {
  std::string text;
  for (const auto& [mask, name] : of)
    text += fmt::format("{}{}{}", text.empty() ? "" : " ", name, (value & mask) != 0 ? '+' : '-');
  return text;
}

void decoder::add(unsigned offset, unsigned size, std::string_view name, std::string text) {
  const unsigned end = offset < reg::extended ? unsigned{reg::extended} : unsigned{reg::space_end};
  if (offset + size <= end)
    blocks_.back().registers.push_back(
        {static_cast<std::uint16_t>(offset), static_cast<std::uint8_t>(size), std::string{name}, std::move(text)});
}

void decoder::add_number(unsigned offset, unsigned size, std::string_view name) {
  add(offset, size, name, fmt::format("{:0{}x}", value(offset, size), 2 * size));
}

std::uint64_t decoder::value(unsigned offset, unsigned size) const {
  std::uint64_t all = 0;
  for (unsigned byte = 0; byte < size; ++byte) {
    const auto at = std::size_t{offset} + byte;
    all |= (at < values_.size() ? std::to_integer<std::uint64_t>(values_[at]) : 0xffU) << (8 * byte);
  }
  return all;
}

} // namespace decoding

std::vector<decoded_block> decode(const function& layout, std::span<const std::byte> values) {
  decoding::decoder to{layout, values};
  decoding::decode_header(to);
  for (const auto& [id, offset] : list_capabilities(layout)) {
    to.begin(offset, capability_name(id));
    decoding::decode_capability(to, id, offset);
  }
  for (const auto offset : list_extended_capabilities(layout)) {
    const auto id = static_cast<std::uint16_t>(layout.copy(offset, 2));
    to.begin(offset, extended_capability_name(id));
    decoding::decode_extended(to, id, offset);
  }
  return to.take();
}

std::vector<std::uint16_t> untold_words(const std::vector<decoded_block>& blocks, std::size_t size) {
  std::vector<bool> told((size + 3) / 4);
  for (const auto& block : blocks)
    for (const auto& each : block.registers)
      for (std::size_t word = each.offset / 4U; word < told.size() && 4 * word < each.offset + std::size_t{each.size};
           ++word)
        told[word] = true;
  std::vector<std::uint16_t> left;
  for (std::size_t word = 0; word < told.size(); ++word)
    if (!told[word])
      left.push_back(static_cast<std::uint16_t>(4 * word));
  return left;
}

} // namespace pci
