// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <initializer_list>
#include <string_view>

#include "pci/config_space/decode.hpp"

/// What the parts of `decode` have in common; nobody else's.
namespace pci::decoding {

struct flag {
  std::uint32_t mask;
  std::string_view name;
};
/// "I/O+ Mem-"
[[nodiscard]] std::string flags(std::uint32_t value, std::initializer_list<flag> of);

class decoder {
public:
  decoder(const function& layout, std::span<const std::byte> values) : layout_(layout), values_(values) {}

  void begin(std::uint16_t offset, std::string name) { blocks_.push_back({offset, std::move(name), {}}); }
  /// A register of the block that was begun last. Left out where it is not wholly within its space: a capability may
  /// stand too near the end.
  void add(unsigned offset, unsigned size, std::string_view name, std::string text);
  /// The same in hexadecimal digits.
  void add_number(unsigned offset, unsigned size, std::string_view name);
  /// Of the space that is told of; ff where it ends.
  [[nodiscard]] std::uint64_t value(unsigned offset, unsigned size) const;
  [[nodiscard]] std::uint32_t word(unsigned offset, unsigned size) const {
    return static_cast<std::uint32_t>(value(offset, size));
  }
  /// Of the reference copy, by which the layout is.
  [[nodiscard]] std::uint32_t layout(unsigned offset, unsigned size) const { return layout_.copy(offset, size); }
  [[nodiscard]] const function& what() const { return layout_; }
  [[nodiscard]] std::vector<decoded_block> take() { return std::move(blocks_); }

private:
  const function& layout_;
  std::span<const std::byte> values_;
  std::vector<decoded_block> blocks_;
};

void decode_header(decoder& to);
void decode_capability(decoder& to, unsigned id, unsigned at);
void decode_express(decoder& to, unsigned at);
void decode_extended(decoder& to, unsigned id, unsigned at);

} // namespace pci::decoding
