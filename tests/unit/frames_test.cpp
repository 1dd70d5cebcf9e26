// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/frames.hpp"

#include <doctest/doctest.h>

using frames = std::vector<std::uint64_t>;

namespace {

constexpr auto memory = pci::resource::memory;

std::array<pci::resource, 7> bars(std::initializer_list<pci::resource> which) {
  std::array<pci::resource, 7> all{};
  std::copy(which.begin(), which.end(), all.begin());
  return all;
}

} // namespace

TEST_CASE("pages that a function does not fill: each once, of its usable memory alone") {
  CHECK(pci::partial_frames({}).empty());
  CHECK(pci::partial_frames(bars({{0xf0000000, 0xf0000fff, memory}, {0xf0010000, 0xf001ffff, memory}})).empty());
  CHECK(pci::partial_frames(bars({{0xf0000000, 0xf00007ff, memory}})) == frames{0xf0000});
  CHECK(pci::partial_frames(bars({{0xf0000800, 0xf0000fff, memory}})) == frames{0xf0000});
  CHECK(pci::partial_frames(bars({{0xf0005100, 0xf00051ff, memory}, {0xf0001800, 0xf000180f, memory}})) ==
        frames{0xf0001, 0xf0005});
  CHECK(pci::partial_frames(bars({{0xf0000000, 0xf000007f, memory}, {0xf0000080, 0xf00000ff, memory}})) ==
        frames{0xf0000});
  CHECK(pci::partial_frames(bars({{0xe000, 0xe01f, pci::resource::io}, {0, 0x7ff, memory}})).empty());
  CHECK(pci::partial_frames(bars({{0xf0000000, 0xf00007ff, memory | pci::resource::unset}})).empty());
  CHECK(pci::partial_frames(bars({{0x10ffffff800, 0x10ffffffbff, memory}})) == frames{0x10ffffff});
}

TEST_CASE("whose registers stand in a page") {
  const frames pages{0xf0000, 0xf0005};
  CHECK_FALSE(pci::frame_of({}, pages));
  CHECK_FALSE(pci::frame_of(bars({{0xf0001000, 0xf0004fff, memory}}), pages));
  CHECK(pci::frame_of(bars({{0xf0000800, 0xf0000fff, memory}}), pages) == 0xf0000);
  CHECK(pci::frame_of(bars({{0xf0004000, 0xf0007fff, memory}}), pages) == 0xf0005);
  CHECK_FALSE(pci::frame_of(bars({{0xf0000800, 0xf0000fff, memory | pci::resource::disabled}}), pages));
  CHECK_FALSE(pci::frame_of(bars({{0xf0000800, 0xf0000fff, memory}}), {}));
}

TEST_CASE("the pages of MSI-X structures") {
  pci::function card;
  card.config.resize(256);
  const auto set = [&card](std::size_t at, std::uint32_t value, unsigned width) {
    for (unsigned byte = 0; byte < width; ++byte) {
      card.config[at + byte] = static_cast<std::byte>(value >> 8 * byte);
    }
  };
  CHECK(pci::msix_frames(card).empty());
  set(0x06, 0x10, 2); // there is a list of capabilities
  set(0x34, 0x40, 1);
  set(0x40, 0x11, 2);
  set(0x42, 256, 2);    // 257 entries
  set(0x44, 0x2003, 4); // in BAR 3
  set(0x48, 0x4803, 4);
  card.resources[3] = {0x10f0010000, 0x10f001ffff, memory};
  CHECK(pci::msix_frames(card) == std::vector<pci::frame_range>{{0x10f0012, 2}, {0x10f0014, 1}});
  card.resources[3].flags |= pci::resource::unset;
  CHECK(pci::msix_frames(card).empty());
}
