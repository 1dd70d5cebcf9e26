// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/dmar.hpp"

#include <initializer_list>
#include <string>

#include <doctest/doctest.h>

using pci::make_sbdf;

namespace {

struct table {
  std::vector<std::byte> bytes = std::vector<std::byte>(48);

  void add(std::initializer_list<unsigned> more) {
    for (const auto each : more)
      bytes.push_back(static_cast<std::byte>(each));
  }
  [[nodiscard]] std::vector<pci::reserved_region> read() const {
    return pci::read_reserved_regions(bytes, [](const pci::sbdf& bridge) -> std::optional<std::uint8_t> {
      if (bridge == make_sbdf(0, 0, 0x1c, 4))
        return 5;
      return std::nullopt;
    });
  }
};

/// A remapping unit, and a region that a USB controller and a function behind a bridge share.
table example() {
  table all;
  all.add({0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0xd9, 0xfe, 0, 0, 0, 0});                                           // DRHD
  all.add({1, 0, 24 + 8 + 10, 0, 0, 0, 0, 0, 0, 0, 0, 0x7a, 0, 0, 0, 0, 0xff, 0xff, 0x7f, 0x7a, 0, 0, 0, 0}); // RMRR
  all.add({1, 8, 0, 0, 0, 0, 0x14, 0});                                                                       // 00:14.0
  all.add({1, 10, 0, 0, 0, 0, 0x1c, 4, 0, 1}); // what is behind 00:1c.4, slot 0, function 1
  return all;
}

} // namespace

TEST_CASE("reserved regions: who uses them, behind bridges too") {
  const auto all = example().read();
  REQUIRE(all.size() == 1);
  CHECK(all[0].first == 0x7a000000);
  CHECK(all[0].last == 0x7a7fffff);
  CHECK(all[0].functions == std::vector{make_sbdf(0, 0, 0x14, 0), make_sbdf(0, 5, 0, 1)});
}

TEST_CASE("reserved regions: what cannot be followed, and what is no function, is left out") {
  auto all = example();
  all.add({1, 0, 24 + 10, 0, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0, 0, 0, 0, 0xff, 0xff, 0, 0x7b, 0, 0, 0, 0});
  all.add({1, 10, 0, 0, 0, 0, 0x1d, 0, 0, 0}); // behind a bridge that nobody knows
  all.add({1, 0, 24 + 8, 0, 0, 0, 0, 0, 0, 0, 0, 0x7c, 0, 0, 0, 0, 0xff, 0xff, 0, 0x7c, 0, 0, 0, 0});
  all.add({2, 8, 0, 0, 0, 0, 0x1d, 0}); // a bridge
  CHECK(all.read().size() == 1);
}

TEST_CASE("reserved regions: a table that is cut off anywhere, or has a length that is none, is read so far") {
  const auto whole = example();
  for (std::size_t length = 0; length < whole.bytes.size(); ++length) {
    auto cut = whole;
    cut.bytes.resize(length);
    CHECK(cut.read().empty());
  }
  for (std::size_t at = 48; at < whole.bytes.size(); ++at) {
    for (const unsigned other : {0U, 1U, 3U, 5U, 0x7fU, 0xffU}) {
      auto garbled = whole;
      garbled.bytes[at] = static_cast<std::byte>(other);
      CHECK(garbled.read().size() <= 1);
    }
  }
}
