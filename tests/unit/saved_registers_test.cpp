// SPDX-License-Identifier: GPL-2.0-or-later
// The table of what becomes of each register between two guests, restoration by it, and the comparison with the
// reference copy.
#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "fake_port.hpp"
#include "sample_functions.hpp"

#include "pci/config_space/answered.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/restore.hpp"
#include "pci/config_space/saved_registers.hpp"

namespace {

using pci::saved_register;

/// A card with everything: PM at 40, MSI (64 bits, maskable) at 50, Express version 2 at 70, VPD at b0, PCI-X at c0 and
/// a vendor's at d0; AER, VC (two channels), LTR, L1 PM, PTM, resizable BAR, power budgeting, DOE, SR-IOV and a
/// vendor's in the extended space.
pci::function full_card() {
  auto made = test::blank(4096, 0x1af4, 0x1234);
  made.resources[0] = {0xfe000000, 0xfe00ffff, 0x40200};
  test::put(made, 0x04, 4, 0x00100002);
  test::put(made, 0x08, 4, 0x02000001);
  test::put(made, 0x0c, 2, 0x4010);
  test::put(made, 0x10, 4, 0xfe000000);
  test::put(made, 0x34, 1, 0x40);
  test::put(made, 0x3c, 4, 0x0000010b);
  test::put(made, 0x40, 4, 0x00035001); // PM
  test::put(made, 0x44, 4, 0x00000408);
  test::put(made, 0x50, 4, 0x01807005); // MSI
  test::put(made, 0x70, 4, 0x0002b010); // Express
  test::put(made, 0x78, 2, 0x2810);
  test::put(made, 0x80, 2, 0x0042);
  test::put(made, 0x98, 2, 0x0400);
  test::put(made, 0xa0, 2, 0x0003);
  test::put(made, 0xb0, 4, 0x0000c003); // VPD
  test::put(made, 0xc0, 4, 0x0022d007); // PCI-X
  test::put(made, 0xd0, 4, 0x00100009); // vendor
  test::put(made, 0xd4, 4, 0x11223344);
  const auto extended = [&made](unsigned at, unsigned id, unsigned next) {
    test::put(made, at, 4, id | 1U << 16 | next << 20);
  };
  extended(0x100, 0x01, 0x150);
  test::put(made, 0x108, 4, 0x00400000);
  test::put(made, 0x10c, 4, 0x00462030);
  test::put(made, 0x114, 4, 0x000020c1);
  extended(0x150, 0x02, 0x180);
  test::put(made, 0x154, 4, 0x00000001);
  test::put(made, 0x164, 4, 0x800000ff);
  extended(0x180, 0x18, 0x190);
  test::put(made, 0x184, 4, 0x10031003);
  extended(0x190, 0x1e, 0x1a4);
  test::put(made, 0x198, 4, 0x40a5000f);
  test::put(made, 0x19c, 4, 0x00000028);
  extended(0x1a4, 0x1f, 0x1b0);
  test::put(made, 0x1ac, 4, 0x00000003);
  extended(0x1b0, 0x15, 0x1c0);
  test::put(made, 0x1b8, 4, 0x00000820);
  extended(0x1c0, 0x04, 0x1d0);
  extended(0x1d0, 0x2e, 0x1f0);
  extended(0x1f0, 0x10, 0x230);
  extended(0x230, 0x0b, 0);
  test::put(made, 0x234, 4, 0x01800001);
  pci::make_reference(made);
  return made;
}

/// Its registers; all of them can be written.
struct wild_card {
  pci::function function = full_card();
  test::fake_port port{function};
  wild_card() {
    for (unsigned at = 4; at < 4096; at += 4)
      port.allow(at, 4, 0xffffffff);
  }
};

struct expectation {
  unsigned offset, width;
  std::uint32_t bits; ///< that come back
};

/// What a strict guest, or a reset, may leave, and what must be put back.
constexpr std::array restored_bits{
    expectation{0x04, 2, 0xffff}, expectation{0x0c, 1, 0xff}, expectation{0x0d, 1, 0xff},
    expectation{0x10, 4, 0xffffffff}, expectation{0x30, 4, 0xffffffff}, expectation{0x3c, 1, 0xff},
    expectation{0x44, 2, 0x1f03}, // PMCSR: state, PME_En, Data_Select
    expectation{0x52, 2, 0x0271}, // MSI: control, address, data, mask
    expectation{0x54, 4, 0xffffffff}, expectation{0x58, 4, 0xffffffff}, expectation{0x5c, 2, 0xffff},
    expectation{0x60, 4, 0xffffffff}, expectation{0x78, 2, 0x7fff}, // Express: Device, Link, Slot and Root Control,
                                                                    // and their second ones
    expectation{0x80, 2, 0xffdf}, expectation{0x88, 2, 0xffff}, expectation{0x8c, 2, 0xffff},
    expectation{0x98, 2, 0xffff}, expectation{0xa0, 2, 0xffff}, expectation{0xa8, 2, 0xffff},
    expectation{0xb2, 2, 0x7fff}, // VPD's address
    expectation{0xc2, 2, 0xffff}, // PCI-X
    expectation{0x108, 4, 0xffffffff}, expectation{0x10c, 4, 0xffffffff}, expectation{0x114, 4, 0xffffffff},
    expectation{0x118, 4, 0x00000540},                                    // AER: masks, severity, ECRC
    expectation{0x164, 4, 0x870e00ff}, expectation{0x170, 4, 0x870e00ff}, // both virtual channels
    expectation{0x184, 2, 0xffff}, expectation{0x186, 2, 0xffff},         // LTR
    expectation{0x198, 4, 0xe3ffff1f}, expectation{0x19c, 4, 0x000000ff}, // L1 PM
    expectation{0x1ac, 4, 0x0000ff03},                                    // PTM
    expectation{0x1b8, 4, 0x00003f00},                                    // a BAR's size
    expectation{0x1c4, 1, 0xff},                                          // power budgeting
    expectation{0x1d8, 4, 0x00000002},                                    // DOE
};

} // namespace

TEST_CASE("each register that a guest can change or a reset may leave reads as in the reference again, bit by bit") {
  for (const auto& each : restored_bits) {
    CAPTURE(each.offset);
    for (unsigned bit = 0; bit < 8 * each.width; ++bit) {
      wild_card card;
      const auto mask = std::uint32_t{1} << bit;
      card.port.set(each.offset, each.width, card.function.copy(each.offset, each.width) ^ mask);
      REQUIRE(pci::restore(card.function, card.port));
      const bool back = card.port.get(each.offset, each.width) == card.function.copy(each.offset, each.width);
      CHECK(back == ((each.bits & mask) != 0));
    }
  }
}

TEST_CASE("a write never starts anything: resets, transfers, retraining, mailboxes, and what is cleared by 1") {
  wild_card card;
  for (unsigned at = 0x40; at < 0x240; ++at)
    card.port.set(at, 1, ~card.function.copy(at, 1) & 0xffU);
  REQUIRE(pci::restore(card.function, card.port));
  for (const auto& [offset, width, never] : {expectation{0x78, 2, 0x8000}, // function level reset
                                             {0x44, 2, 0x8000},            // PME_Status
                                             {0x80, 2, 0x0020},            // link retraining
                                             {0xb2, 2, 0x8000},            // VPD transfer
                                             {0x164, 4, 0x00010000},       // arbitration table
                                             {0x1d8, 4, 0x80000001}}) {    // DOE: go, abort
    CAPTURE(offset);
    for (const auto& write : card.port.writes())
      if (write.offset == offset) {
        CHECK(write.width == width);
        CHECK((write.value & never) == 0);
      }
  }
  for (const auto& access : card.port.accesses) {
    CAPTURE(access.offset);
    CHECK_FALSE((access.offset >= 0x1e0 && access.offset < 0x1e8)); // DOE's mailboxes: each access moves on
    CHECK_FALSE((access.write && access.offset >= 0x1f0 && access.offset < 0x230)); // SR-IOV is dom0's
    CHECK_FALSE((access.write && access.offset >= 0xd0 && access.offset < 0x100));  // a vendor's own
  }
  // Control registers of messages late, COMMAND last, sizes of BARs before the BARs, power first.
  wild_card spoilt;
  for (const auto& each : restored_bits)
    spoilt.port.set(each.offset, each.width,
                    ~spoilt.function.copy(each.offset, each.width) & pci::all_bits(each.width));
  REQUIRE(pci::restore(spoilt.function, spoilt.port));
  std::vector<unsigned> order;
  for (const auto& write : spoilt.port.writes())
    order.push_back(write.offset);
  const auto place = [&order](unsigned offset) { return std::ranges::find(order, offset) - order.begin(); };
  CHECK(order.front() == 0x44);
  CHECK(place(0x1b8) < place(0x10));
  CHECK(place(0x19c) < place(0x198));
  CHECK(place(0x5c) < place(0x52));
  CHECK(order.back() == 0x04);
}

TEST_CASE("after a guest that could write anywhere everything is put back that it could write") {
  wild_card card;
  for (unsigned at = 0x40; at < 0x240; at += 4)
    card.port.set(at, 4, ~card.function.copy(at, 4));
  REQUIRE(pci::restore(card.function, card.port, true));
  CHECK(card.port.get(0xd4, 4) == 0x11223344);
  CHECK(card.port.get(0x234, 4) == 0x01800001);
  CHECK(card.port.get(0x1f8, 2) == card.function.copy(0x1f8, 2)); // SR-IOV Control
  CHECK(card.port.get(0x214, 4) == card.function.copy(0x214, 4));
  CHECK(card.port.get(0x1e0, 4) != card.function.copy(0x1e0, 4)); // DOE's mailboxes all the same not
  const auto left = pci::compare(card.function, card.port);
  REQUIRE(left);
  for (const auto& each : *left) // what no write can bring back
    CHECK_MESSAGE(false, pci::describe(card.function, std::span(&each, 1)));

  auto bridge = test::bridge();
  pci::make_reference(bridge);
  for (const bool freely : {false, true}) {
    test::fake_port port(bridge);
    port.allow(0x18, 4, 0xffffff);
    port.set(0x18, 4, 0x00123456);
    REQUIRE(pci::restore(bridge, port, freely));
    CHECK((port.get(0x18, 4) == bridge.copy(0x18, 4)) == freely);
  }
}

TEST_CASE("the comparison sees each bit of the space, but for those that change by themselves") {
  wild_card card;
  CHECK(pci::compare(card.function, card.port)->empty());
  const auto seen = [&card](unsigned offset, unsigned bit) {
    test::fake_port port{card.function};
    port.set(offset, 1, card.function.copy(offset, 1) ^ 1U << bit);
    const auto found = pci::compare(card.function, port);
    REQUIRE(found);
    CHECK(found->size() <= 1);
    return found->size() == 1;
  };
  // Everything that is restored is compared as well, INTX_DISABLE excepted, which dom0's handler sets.
  for (const auto& each : restored_bits)
    for (unsigned bit = 0; bit < 8 * each.width; ++bit)
      if ((each.bits >> bit & 1) != 0 && !(each.offset == 0x04 && bit == 10)) {
        CAPTURE(each.offset);
        CHECK(seen(each.offset + bit / 8, bit % 8));
      }
  for (const auto& [offset, width, bits] : {expectation{0x06, 2, 0xf909}, // STATUS
                                            {0x44, 2, 0xe000},
                                            {0x47, 1, 0xff},       // PM's Data
                                            {0x64, 4, 0xffffffff}, // pending messages
                                            {0x7a, 2, 0xffff},
                                            {0x82, 2, 0xffff},
                                            {0xb4, 4, 0xffffffff},
                                            {0x104, 4, 0xffffffff},
                                            {0x11c, 4, 0xffffffff}, // AER's header log
                                            {0x1e0, 4, 0xffffffff}})
    for (unsigned bit = 0; bit < 8 * width; ++bit)
      if ((bits >> bit & 1) != 0) {
        CAPTURE(offset);
        CHECK_FALSE(seen(offset + bit / 8, bit % 8));
      }
  CHECK(seen(0x00, 0));
  CHECK(seen(0x2c, 3));
  CHECK(seen(0xd7, 1)); // a vendor's
  CHECK(seen(0xfff, 7));
}

TEST_CASE("of a space that was read at once only what differs is read again") {
  wild_card card;
  auto now = card.function.config;
  CHECK(pci::compare(card.function, card.port, now)->empty());
  CHECK(card.port.accesses.empty());
  now.at(0xd4) ^= std::byte{1}; // it was so, and is not any more
  CHECK(pci::compare(card.function, card.port, now)->empty());
  CHECK(card.port.accesses.size() == 1);
  card.port.set(0xd4, 4, 0x11223345);
  CHECK(pci::compare(card.function, card.port, now)->size() == 1);
  CHECK(card.port.accesses.size() == 2);
  now.resize(0x100);
  CHECK(pci::compare(card.function, card.port, now)->size() == 1); // of no use
  CHECK(card.port.accesses.size() > 500);
}

TEST_CASE("a difference is named, and says whether a guest can have the function so") {
  wild_card card;
  card.port.set(0x108, 4, 0);
  card.port.set(0xd4, 4, 0x11223345);
  const auto found = pci::compare(card.function, card.port);
  REQUIRE(found);
  REQUIRE(found->size() == 2);
  CHECK(pci::describe(card.function, *found) ==
        "Vendor+4 reads 11223345, was 11223344; AER+8 (Uncorrectable Error Mask) "
        "reads 00000000, was 00400000");
  CHECK_FALSE(found->front().essential);
  for (const auto& [offset, width, bit] : {expectation{0x10, 4, 0x1000},
                                           {0x04, 2, 2},
                                           {0x04, 2, 4},
                                           {0x44, 2, 3},
                                           {0x52, 2, 1},
                                           {0x78, 2, 0x1000},
                                           {0x1b8, 4, 0x100}}) {
    CAPTURE(offset);
    test::fake_port port{card.function};
    port.set(offset, width, card.function.copy(offset, width) ^ bit);
    const auto essential = pci::compare(card.function, port);
    REQUIRE(essential->size() == 1);
    CHECK(essential->front().essential);
  }
  std::vector<pci::difference> many(7, found->front());
  CHECK(pci::describe(card.function, many).ends_with("; and 3 more"));
  CHECK(pci::describe(card.function, {}).empty());
}

TEST_CASE("registers end where the next capability or the space does") {
  auto function = test::nvme();
  test::put(function, 0x34, 1, 0xfc); // PM in the last four bytes: there is no room for its control
  test::put(function, 0xfc, 4, 0x00030001);
  for (const auto& each : pci::saved_registers(function, true))
    CHECK(each.offset + each.width <= 0x100U);
  auto crowded = full_card();
  test::put(crowded, 0x71, 1, 0x90); // another capability in the middle of Express
  test::put(crowded, 0x90, 4, 0x0010b009);
  for (const auto& each : pci::saved_registers(crowded, false))
    CHECK((each.offset < 0x90 || each.offset >= 0xb0));
}

TEST_CASE("of a virtual function neither BARs nor the line are looked at") {
  auto function = test::virtual_function();
  test::put(function, 0x3d, 1, 1); // as QEMU's has it
  test::fake_port port{function};
  pci::make_reference(function);
  CHECK(pci::compare(function, port)->empty());
  port.set(0x10, 4, 0xfe000000);
  CHECK(pci::compare(function, port)->empty());
}

TEST_CASE("the reference takes BARs and decoding from the host where the function has lost them") {
  auto function = test::e1000e();
  const auto good = function;
  for (unsigned bar = 0x10; bar < 0x28; bar += 4)
    test::put(function, bar, 4, 0);
  test::put(function, 0x04, 2, 0);
  pci::make_reference(function);
  for (unsigned bar = 0x10; bar < 0x28; bar += 4)
    CHECK(function.copy(bar, 4) == good.copy(bar, 4));
  CHECK(function.copy(0x04, 2) == 0x0003);
  auto wide = test::nvme();
  test::put(wide, 0x10, 4, 0x00000004);
  test::put(wide, 0x14, 4, 0);
  pci::make_reference(wide);
  CHECK(wide.copy(0x10, 4) == 0x00000004);
  CHECK(wide.copy(0x14, 4) == 0x00000008);
  // Not where the register says nothing of the resource.
  auto allocated = test::e1000e();
  allocated.resources[0].flags |= 0x10; // IORESOURCE_PCI_FIXED
  test::put(allocated, 0x10, 4, 0);
  pci::make_reference(allocated);
  CHECK(allocated.copy(0x10, 4) == 0);
  // Nor where the host has given none.
  auto unset = test::e1000e();
  unset.resources[1].flags |= pci::resource::unset;
  test::put(unset, 0x14, 4, 0);
  pci::make_reference(unset);
  CHECK(unset.copy(0x14, 4) == 0);
}

TEST_CASE("a bridge keeps its bus mastering in the reference and in what a scrub demands") {
  auto bridge = test::bridge();
  test::put(bridge, 0x04, 2, 0x0407);
  pci::make_reference(bridge);
  CHECK(bridge.copy(0x04, 2) == 0x0007);
  test::fake_port port{bridge};
  CHECK(pci::check_quiet(bridge, port));
  CHECK(pci::compare(bridge, port)->empty());
  port.set(0x04, 2, 0x0003);
  REQUIRE(pci::restore(bridge, port));
  CHECK(port.get(0x04, 2) == 0x0007);
}

TEST_CASE("the reference is in D0") {
  auto function = test::e1000e();
  test::put(function, 0xcc, 2, 0x2103);
  pci::make_reference(function);
  CHECK(function.copy(0xcc, 2) == 0x2000);
}

// -- all ones

TEST_CASE("all ones are no value: read again until the function answers, and ENODEV when it does not") {
  wild_card card;
  for (unsigned silent = 1; silent <= 5; ++silent) {
    card.port.set(0x44, 2, 0x050b);
    card.port.mute(silent);
    CHECK(pci::wake(card.function, card.port).value());
    CHECK(card.port.get(0x44, 2) == 0x0508); // not fffc
    card.port.set(0x52, 2, 0x0181);
    card.port.mute(silent);
    REQUIRE(pci::turn_messages_off(card.function, card.port));
    CHECK(card.port.get(0x52, 2) == 0x0180); // not fffe
    card.port.set(0x78, 2, 0x0000);
    card.port.mute(silent);
    REQUIRE(pci::restore(card.function, card.port));
    CHECK(card.port.get(0x78, 2) == 0x2810);
    card.port.mute(silent);
    CHECK(pci::compare(card.function, card.port)->empty());
  }
  const auto writes = card.port.writes().size();
  card.port.mute(1000000);
  for (const auto& error :
       {pci::wake(card.function, card.port).error(), pci::turn_messages_off(card.function, card.port).error(),
        pci::restore(card.function, card.port).error(), pci::compare(card.function, card.port).error(),
        pci::check_quiet(card.function, card.port).error(), pci::update_control(card.port, 0x04, 0, 4).error()}) {
    CHECK(error.error == ENODEV);
    CHECK(error.context.find("silent") != std::string::npos);
  }
  CHECK(card.port.writes().size() == writes);
}

TEST_CASE("all ones of a function that answers are its value, but of no control register") {
  wild_card card;
  card.port.set(0x60, 4, 0xffffffff); // every message masked
  CHECK(pci::read_answered(card.port, 0x60, 4).value() == 0xffffffff);
  card.port.set(0x52, 2, 0xffff);
  CHECK(pci::update_control(card.port, 0x52, 1, 0).error().error == ENODEV);
  CHECK(card.port.writes().empty());
  card.port.fail_reads(EIO);
  CHECK(pci::read_answered(card.port, 0x60, 4).error().error == EIO);
}
