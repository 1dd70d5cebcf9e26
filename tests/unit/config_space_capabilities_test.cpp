// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <cerrno>
#include <vector>

#include <doctest/doctest.h>

#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/field_list.hpp"
#include "pci/config_space/space.hpp"
#include "pci/config_space/usable.hpp"
#include "unit/fake_port.hpp"
#include "unit/sample_functions.hpp"

using pci::listed_capability;
using test::fake_port;

namespace {

std::vector<unsigned> offsets_of(const std::vector<pci::field>& fields, pci::writing kind) {
  std::vector<unsigned> found;
  for (const auto& each : fields)
    if (each.write == kind)
      found.push_back(each.offset);
  return found;
}

bool any_overlap(const std::vector<pci::field>& fields) {
  for (std::size_t i = 0; i < fields.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (fields[i].overlaps(fields[j].offset, fields[j].width))
        return true;
  return false;
}

} // namespace

TEST_CASE("the list of capabilities is followed in its order") {
  CHECK(pci::list_capabilities(test::e1000e()) ==
        std::vector<listed_capability>{{0x01, 0xc8}, {0x05, 0xd0}, {0x10, 0xe0}, {0x11, 0xa0}});
  CHECK(pci::list_capabilities(test::nvme()) ==
        std::vector<listed_capability>{{0x11, 0x40}, {0x10, 0x80}, {0x01, 0x60}});
  CHECK(pci::find_capability(test::e1000e(), 0x11) == 0xa0);
  CHECK(pci::find_capability(test::e1000e(), 0x03) == std::nullopt);
}

TEST_CASE("without the status bit there is no list, whatever the pointer says") {
  auto function = test::e1000e();
  test::put(function, 0x06, 2, 0);
  CHECK(pci::list_capabilities(function).empty());
  CHECK(pci::find_capability(function, 0x11) == std::nullopt);
}

TEST_CASE("a broken list of capabilities ends, and what came before counts") {
  auto function = test::legacy_card();
  SUBCASE("it points at itself") { test::put(function, 0x51, 1, 0x50); }
  SUBCASE("it points into the header") { test::put(function, 0x51, 1, 0x3c); }
  SUBCASE("it points at what does not answer") {
    test::put(function, 0x51, 1, 0xf0);
    test::put(function, 0xf0, 4, 0xffffffff);
  }
  CHECK(pci::list_capabilities(function) == std::vector<listed_capability>{{0x03, 0x50}});
  CHECK(pci::find_capability(function, 0x01) == std::nullopt);
}

TEST_CASE("a long loop ends, and the pointers' reserved bits are not looked at") {
  auto function = test::legacy_card();
  test::put(function, 0x34, 1, 0x43);
  for (unsigned at = 0x40; at < 0x100; at += 4)
    test::put(function, at, 4, 0x02U | (at + 4 < 0x100 ? at + 4 + 1 : 0x82) << 8);
  CHECK(pci::list_capabilities(function).size() == 48);
  CHECK(pci::find_capability(function, 0x01) == std::nullopt);
}

TEST_CASE("extended capabilities: each once, bounded, none without the space") {
  auto function = test::e1000e();
  CHECK(pci::list_extended_capabilities(function) == std::vector<std::uint16_t>{0x100, 0x140});
  test::put(function, 0x140, 4, 0x10010003); // back to 100
  CHECK(pci::list_extended_capabilities(function) == std::vector<std::uint16_t>{0x100, 0x140});
  test::put(function, 0x140, 4, 0x0ff10003); // into the conventional space
  CHECK(pci::list_extended_capabilities(function) == std::vector<std::uint16_t>{0x100, 0x140});
  test::put(function, 0x140, 4, 0xfff10003);
  test::put(function, 0xffc, 4, 0xffffffff);
  CHECK(pci::list_extended_capabilities(function) == std::vector<std::uint16_t>{0x100, 0x140});
  test::put(function, 0xffc, 4, 0x00010019);
  CHECK(pci::list_extended_capabilities(function) == std::vector<std::uint16_t>{0x100, 0x140, 0xffc});
  CHECK(pci::list_extended_capabilities(test::legacy_card()).empty());
  test::put(function, 0x100, 4, 0);
  CHECK(pci::list_extended_capabilities(function).empty());
  for (unsigned at = 0x100; at < 0x1000; at += 4)
    test::put(function, at, 4, 0x00010001U | (at + 4) << 20);
  CHECK(pci::list_extended_capabilities(function).size() == 960);
}

TEST_CASE("MSI-X: size, BAR and base") {
  const auto card = pci::find_msix(test::e1000e());
  REQUIRE(card);
  CHECK(card->offset == 0xa0);
  CHECK(card->table_size == 5);
  CHECK(card->table_bar == 3);
  CHECK(card->table_base == 0xfebd0000);
  const auto disk = pci::find_msix(test::nvme());
  REQUIRE(disk);
  CHECK(disk->table_size == 65);
  CHECK(disk->table_base == 0x8'0000'0000); // not the table's 2000 with it
  CHECK(!pci::find_msix(test::legacy_card()));
}

TEST_CASE("an MSI-X capability that cannot be right is none") {
  auto function = test::e1000e();
  SUBCASE("table in a BAR of ports") { test::put(function, 0xa4, 4, 2); }
  SUBCASE("table in a BAR that is not there") { test::put(function, 0xa4, 4, 4); }
  SUBCASE("table in BAR 6") { test::put(function, 0xa4, 4, 6); }
  SUBCASE("table in BAR 7") { test::put(function, 0xa4, 4, 7); }
  SUBCASE("table behind its BAR's end") { test::put(function, 0xa4, 4, 0x3fb8 + 3); }
  SUBCASE("table far behind it") { test::put(function, 0xa4, 4, 0xfffffff8 + 3); }
  SUBCASE("pending bits in a BAR of ports") { test::put(function, 0xa8, 4, 2); }
  SUBCASE("pending bits in a BAR that is not there") { test::put(function, 0xa8, 4, 5); }
  SUBCASE("pending bits in BAR 7") { test::put(function, 0xa8, 4, 7); }
  SUBCASE("pending bits behind their BAR's end") { test::put(function, 0xa8, 4, 0x4000 + 3); }
  SUBCASE("pending bits in the table") { test::put(function, 0xa8, 4, 0x48 + 3); }
  SUBCASE("table and pending bits both at 0, as in a card that has none") { test::put(function, 0xa8, 4, 3); }
  SUBCASE("BAR without an address") { function.resources[3].flags |= pci::resource::unset; }
  SUBCASE("capability beyond the 256 bytes") {
    test::put(function, 0xe1, 1, 0xf8);
    test::put(function, 0xf8, 4, 0x00040011);
    test::put(function, 0xfc, 4, 3);
  }
  CHECK(!pci::find_msix(function));
  for (const auto& each : pci::usable_capabilities(function))
    CHECK(each.id != 0x11);
}

TEST_CASE("MSI-X in a BAR that no register places is none: Xen looks for it in the register") {
  constexpr std::uint64_t fixed = 0x10; // IORESOURCE_PCI_FIXED, by Enhanced Allocation
  for (const bool is_virtual : {false, true}) {
    auto function = is_virtual ? test::virtual_function() : test::nvme();
    CHECK(pci::find_msix(function).has_value());
    function.resources[0].flags |= fixed;
    CHECK_FALSE(pci::find_msix(function).has_value());
    CHECK(std::string{pci::defect_of(function, {0x11, 0x40})}.find("Enhanced Allocation") != std::string::npos);
  }
}

TEST_CASE("a table may end where its BAR ends, or where the pending bits begin; and these may be in another BAR") {
  auto function = test::e1000e();
  SUBCASE("the BAR's end") { test::put(function, 0xa4, 4, 0x3fb0 + 3); }
  SUBCASE("the pending bits' begin") { test::put(function, 0xa8, 4, 0x50 + 3); }
  SUBCASE("the pending bits' end") {
    test::put(function, 0xa4, 4, 0x8 + 3);
    test::put(function, 0xa8, 4, 0x0 + 3);
  }
  SUBCASE("the BAR's end, of the pending bits") { test::put(function, 0xa8, 4, 0x3ff8 + 3); }
  SUBCASE("another BAR, at the same place") { test::put(function, 0xa8, 4, 1); }
  CHECK(pci::find_msix(function));
}

TEST_CASE("the pending bits of many entries need more than one word") {
  auto function = test::e1000e();
  test::put(function, 0xa2, 2, 64); // 65 entries
  test::put(function, 0xa8, 4, 0x3ff8 + 3);
  CHECK(!pci::find_msix(function));
  test::put(function, 0xa2, 2, 63);
  CHECK(pci::find_msix(function));
}

TEST_CASE("a capability whose registers leave the 256 bytes cannot be used, whatever it is") {
  struct row {
    std::uint8_t id, last; // the last offset at which it fits
  };
  for (const auto& [id, last] :
       std::vector<row>{{0x01, 0xf8}, {0x03, 0xf8}, {0x10, 0xf4}, {0x11, 0xf4}, {0x09, 0xfc}}) {
    CAPTURE(unsigned{id});
    for (unsigned offset = 0xf0; offset < 0x100; offset += 4) {
      CAPTURE(offset);
      auto function = test::legacy_card();
      function.resources[1] = {0xfebd0000, 0xfebd3fff, 0x40200};
      test::put(function, 0x34, 1, offset);
      test::put(function, offset, 4, id);
      if (offset <= 0xf4) {
        test::put(function, offset + 4, 4, 0x0001);
        test::put(function, offset + 8, 4, 0x2001);
      }
      const bool fits = offset <= last;
      CHECK(pci::find_capability(function, id).has_value() == fits);
      CHECK(pci::usable(function, {id, static_cast<std::uint8_t>(offset)}) == fits);
      CHECK(pci::usable_capabilities(function).size() == (fits ? 1 : 0));
      CHECK(pci::defect_of(function, {id, static_cast<std::uint8_t>(offset)}).empty() == fits);
    }
  }
}

namespace {

/// What a guest finds that follows the list which it is shown.
std::vector<listed_capability> as_shown(const pci::function& function, const pci::policy& policy = {}) {
  auto space = pci::space::build(function, policy);
  REQUIRE(space);
  fake_port port{function};
  std::vector<listed_capability> found;
  auto next = space->read(port, 0x34, 1).value;
  while (next != 0 && found.size() < 100) {
    const auto header = space->read(port, static_cast<std::int32_t>(next), 2).value;
    found.push_back({static_cast<std::uint8_t>(header), static_cast<std::uint8_t>(next)});
    next = header >> 8;
  }
  return found;
}

} // namespace

TEST_CASE("a guest is shown what can be used") {
  const auto whole = std::vector<listed_capability>{{0x01, 0xc8}, {0x05, 0xd0}, {0x10, 0xe0}, {0x11, 0xa0}};
  auto function = test::e1000e();
  CHECK(as_shown(function) == whole);
  auto expected = whole;
  SUBCASE("not MSI-X, the last of the list, that overlaps itself") {
    test::put(function, 0xa8, 4, 3);
    expected.pop_back();
  }
  SUBCASE("not MSI-X, the first of the list, that overlaps itself") {
    test::put(function, 0xa8, 4, 3);
    test::put(function, 0x34, 1, 0xa0);
    test::put(function, 0xa1, 1, 0xc8);
    test::put(function, 0xe1, 1, 0);
    expected.pop_back();
  }
  SUBCASE("not power management at fc, which is in the middle") {
    test::put(function, 0xd1, 1, 0xfc);
    test::put(function, 0xfc, 2, 0xe001);
  }
  SUBCASE("no loop") { test::put(function, 0xa1, 1, 0xd0); }
  SUBCASE("no second MSI") {
    test::put(function, 0xa1, 1, 0x40);
    test::put(function, 0x40, 2, 0x0005);
  }
  SUBCASE("all of several of a vendor's") {
    test::put(function, 0xa1, 1, 0x40);
    test::put(function, 0x40, 2, 0x5009);
    test::put(function, 0x50, 2, 0x0009);
    expected.push_back({0x09, 0x40});
    expected.push_back({0x09, 0x50});
  }
  CHECK(as_shown(function) == expected);
}

TEST_CASE("a guest is not shown the kind of interrupts that it may not have") {
  const auto function = test::e1000e();
  const auto has = [](const std::vector<listed_capability>& list, listed_capability what) {
    return std::find(list.begin(), list.end(), what) != list.end();
  };
  pci::policy policy;
  policy.msix = false;
  CHECK(has(as_shown(function, policy), {0x05, 0xd0}));
  CHECK_FALSE(has(as_shown(function, policy), {0x11, 0xa0}));
  policy = {};
  policy.msi = false;
  CHECK_FALSE(has(as_shown(function, policy), {0x05, 0xd0}));
  CHECK(has(as_shown(function, policy), {0x11, 0xa0}));
  policy.msix = false;
  CHECK(as_shown(function, policy) == std::vector<listed_capability>{{0x01, 0xc8}, {0x10, 0xe0}});
}

TEST_CASE("MSI: its forms, and the room that each needs") {
  const auto card = pci::find_msi(test::e1000e());
  REQUIRE(card);
  CHECK(card->offset == 0xd0);
  CHECK(card->is_64_bit);
  CHECK(!card->maskable);
  const auto bridge = pci::find_msi(test::bridge());
  REQUIRE(bridge);
  CHECK(bridge->maskable);
  CHECK(!bridge->is_64_bit);
  CHECK(!pci::find_msi(test::nvme()));
  auto function = test::bridge();
  struct row {
    std::uint8_t offset;
    std::uint16_t control;
    bool fits;
  };
  for (const auto& [offset, control, fits] : std::vector<row>{{0xf4, 0x0000, true},
                                                              {0xf8, 0x0000, false},
                                                              {0xf0, 0x0080, true},
                                                              {0xf4, 0x0080, false},
                                                              {0xec, 0x0100, true},
                                                              {0xf0, 0x0100, false},
                                                              {0xe8, 0x0180, true},
                                                              {0xec, 0x0180, false}}) {
    test::put(function, 0x34, 1, offset);
    test::put(function, offset, 4, 0x05U | std::uint32_t{control} << 16);
    CHECK(pci::find_msi(function).has_value() == fits);
  }
  test::put(function, 0x34, 1, 0xfc);
  test::put(function, 0xfc, 4, 0x05);
  CHECK(!pci::find_msi(function));
}

TEST_CASE("fields never overlap, however the lists lie") {
  for (const auto& each : {test::e1000e(), test::nvme(), test::virtual_function(), test::legacy_card(), test::bridge()})
    CHECK(!any_overlap(pci::build_fields(each, {})));

  auto function = test::legacy_card();
  test::put(function, 0x51, 1, 0x54); // PM over VPD's data
  test::put(function, 0x54, 2, 0x6001);
  test::put(function, 0x60, 2, 0x0005); // MSI over PM's end would be at 5c; here it is free
  const auto fields = pci::build_fields(function, {});
  CHECK(!any_overlap(fields));
  CHECK(offsets_of(fields, pci::writing::vpd_address) == std::vector<unsigned>{0x52});
  CHECK(offsets_of(fields, pci::writing::pmcsr) == std::vector<unsigned>{0x58});
  CHECK(offsets_of(fields, pci::writing::msi_control) == std::vector<unsigned>{0x62});
}

TEST_CASE("a capability that leaves the 256 bytes has no fields") {
  auto function = test::legacy_card();
  test::put(function, 0x71, 1, 0xf8);
  test::put(function, 0xf8, 4, 0x00000011);
  const auto fields = pci::build_fields(function, {});
  CHECK(offsets_of(fields, pci::writing::msix_control).empty());
  CHECK(!any_overlap(fields));
  CHECK(std::none_of(fields.begin(), fields.end(), [](const auto& each) { return each.offset >= 0xf8; }));
}

TEST_CASE("only the first of several capabilities of a kind has the rules") {
  auto function = test::legacy_card();
  test::put(function, 0x71, 1, 0x80);
  test::put(function, 0x80, 4, 0x00000001); // a second PM
  CHECK(offsets_of(pci::build_fields(function, {}), pci::writing::pmcsr) == std::vector<unsigned>{0x64});
}
