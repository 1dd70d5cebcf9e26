// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/config_space/snapshot.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

namespace pci {
namespace {

void put_word(std::vector<std::byte>& into, std::uint32_t word) {
  for (unsigned byte = 0; byte < 4; ++byte)
    into.push_back(static_cast<std::byte>(word >> (8 * byte) & 0xffU));
}

/// Bytes that were read once, as though they were a function.
class snapshot_port final : public config_port {
public:
  explicit snapshot_port(std::span<const std::byte> bytes) : bytes_(bytes) {}
  result<std::uint32_t> read(std::uint16_t offset, unsigned width) override {
    if (offset + width > bytes_.size())
      return fail(EINVAL, "beyond the configuration space");
    std::uint32_t value = 0;
    for (unsigned byte = 0; byte < width; ++byte)
      value |= std::to_integer<std::uint32_t>(bytes_[offset + byte]) << (8 * byte);
    return value;
  }
  result<void> write(std::uint16_t, unsigned, std::uint32_t) override { return fail(EACCES, "a copy takes no writes"); }

private:
  std::span<const std::byte> bytes_;
};

} // namespace

result<std::vector<std::byte>> take_snapshot(config_port& port, std::size_t size, const std::function<bool()>& go_on) {
  std::vector<std::byte> bytes;
  bytes.reserve(size);
  while (bytes.size() < size) {
    const auto offset = static_cast<std::uint16_t>(bytes.size());
    if (!go_on())
      return fail(ETIMEDOUT, fmt::format("accesses to the configuration space take too long: {} of {} bytes were read",
                                         bytes.size(), size));
    const auto word = port.read(offset, 4);
    if (!word)
      return tl::unexpected(word.error());
    put_word(bytes, *word);
  }
  return bytes;
}

std::vector<std::byte> guest_view(const space& what, std::span<const std::byte> hardware) {
  snapshot_port port{hardware};
  std::vector<std::byte> bytes;
  const auto size = std::min(what.size(), hardware.size());
  bytes.reserve(size);
  while (bytes.size() < size)
    put_word(bytes, what.read(port, static_cast<std::int32_t>(bytes.size()), 4).value);
  return bytes;
}

} // namespace pci
