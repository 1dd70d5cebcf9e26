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
