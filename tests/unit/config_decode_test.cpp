// SPDX-License-Identifier: GPL-2.0-or-later
// A configuration space in words, and the copies that are told of.
#include <algorithm>
#include <cerrno>
#include <random>

#include <doctest/doctest.h>

#include "pci/config_space/decode.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/snapshot.hpp"
#include "pci/lease_policy.hpp"
#include "unit/fake_port.hpp"
#include "unit/sample_functions.hpp"

namespace {

std::vector<pci::function> every_sample() {
  return {test::e1000e(), test::nvme(), test::virtual_function(), test::legacy_card(), test::bridge()};
}

/// What a register means; empty: there is no such block or register.
std::string meaning(const std::vector<pci::decoded_block>& blocks, const std::string& block, const std::string& name) {
  for (const auto& each : blocks)
    if (each.name == block)
      for (const auto& one : each.registers)
        if (one.name == name)
          return one.text;
  return {};
}

std::string meaning(const pci::function& of, const std::string& block, const std::string& name) {
  return meaning(pci::decode(of, of.config), block, name);
}

std::vector<std::string> block_names(const pci::function& of) {
  std::vector<std::string> names;
  for (const auto& each : pci::decode(of, of.config))
    names.push_back(each.name);
  return names;
}

} // namespace

TEST_CASE("the header and the capabilities of a card are told in words") {
  auto card = test::e1000e();
  CHECK(block_names(card) ==
        std::vector<std::string>{"Header", "PM", "MSI", "Express", "MSI-X", "AER", "Serial Number"});
  CHECK(meaning(card, "Header", "Identity") == "8086:10d3");
  CHECK(meaning(card, "Header", "Control") ==
        "I/O+ Mem+ BusMaster+ SpecCycle- MemWINV- VGASnoop- ParErr- Stepping- SERR+ "
        "FastB2B- DisINTx-");
  CHECK(meaning(card, "Header", "Status") ==
        "INTx- Cap+ 66MHz- FastB2B- ParErr- DEVSEL=fast >TAbort- <TAbort- <MAbort- "
        ">SERR- <PERR-");
  CHECK(meaning(card, "Header", "Class") == "020000, revision 00");
  CHECK(meaning(card, "Header", "Region 0") == "Memory at feb80000 (32-bit, non-prefetchable) [size=128K]");
  CHECK(meaning(card, "Header", "Region 2") == "I/O ports at c040 [size=32]");
  CHECK(meaning(card, "Header", "Region 4") == "not there");
  CHECK(meaning(card, "Header", "Expansion ROM") == "at feb00000 [disabled] [size=256K]");
  CHECK(meaning(card, "Header", "Interrupt") == "pin A, line 11");
  CHECK(meaning(card, "PM", "Flags") == "version 3 PMEClk- DSI+ D1- D2- PME(D0+ D1- D2- D3hot+ D3cold+)");
  CHECK(meaning(card, "PM", "Status") == "D0 NoSoftRst- PME-Enable- DSel=0 DScale=1 PME-");
  CHECK(meaning(card, "MSI", "Control") == "Enable- Count=1/1 Maskable- 64bit+");
  CHECK(meaning(card, "MSI-X", "Control") == "Enable- Count=5 Masked-");
  CHECK(meaning(card, "MSI-X", "Vector table") == "BAR=3 offset=00000000");
  CHECK(meaning(card, "MSI-X", "PBA") == "BAR=3 offset=00002000");
  CHECK(meaning(card, "Express", "Flags").starts_with("v1, Endpoint, Slot-"));
  test::put(card, 0xd2, 2, 0x00a1); // 64 bits, on, 8 of 1
  test::put(card, 0xa2, 2, 0xc004);
  test::put(card, 0x144, 4, 0x9d2a1f00);
  test::put(card, 0x148, 4, 0x001b21ff);
  test::put(card, 0x104, 4, 0x00040010);
  CHECK(meaning(card, "MSI", "Control") == "Enable+ Count=4/1 Maskable- 64bit+");
  CHECK(meaning(card, "MSI-X", "Control") == "Enable+ Count=5 Masked+");
  CHECK(meaning(card, "Serial Number", "Number") == "00-1b-21-ff-9d-2a-1f-00");
  CHECK(meaning(card, "AER", "UESta").starts_with("DLP+ SDES- TLP-"));
  CHECK(meaning(card, "AER", "UESta").find("MalfTLP+") != std::string::npos);
}

TEST_CASE("a bridge has its buses, a memory BAR of 64 bits its two registers") {
  auto bridge = test::bridge();
  test::put(bridge, 0x18, 4, 0x00050403);
  CHECK(meaning(bridge, "Header", "Bus") == "primary=03, secondary=04, subordinate=05, sec-latency=0");
  auto card = test::nvme();
  test::put(card, 0x10, 4, 0xfe00000c);
  test::put(card, 0x14, 4, 0x00000038);
  CHECK(meaning(card, "Header", "Region 0").starts_with("Memory at 38fe000000 (64-bit, prefetchable)"));
  CHECK(meaning(card, "Header", "Region 1").empty());
}

TEST_CASE("what is told of other bytes has the form of the reference copy") {
  const auto card = test::e1000e();
  const auto reference = pci::decode(card, card.config);
  const auto nothing = pci::decode(card, {});
  REQUIRE(nothing.size() == reference.size());
  for (std::size_t block = 0; block < reference.size(); ++block) {
    REQUIRE(nothing[block].registers.size() == reference[block].registers.size());
    for (std::size_t each = 0; each < reference[block].registers.size(); ++each) {
      CHECK(nothing[block].registers[each].offset == reference[block].registers[each].offset);
      CHECK(nothing[block].registers[each].name == reference[block].registers[each].name);
    }
  }
  CHECK(meaning(nothing, "Header", "Identity") == "ffff:ffff");
}

TEST_CASE("whatever the bytes are, registers lie within the space, and the rest is named") {
  std::mt19937 any(11); // NOLINT(cert-msc51-cpp): the same each time
  for (int round = 0; round < 2000; ++round) {
    auto card = test::blank(round % 2 == 0 ? 256 : 4096, 0x8086, 0x1234);
    for (auto& byte : card.config)
      byte = static_cast<std::byte>(any());
    test::put(card, 0x34, 1, static_cast<std::uint32_t>(0x40 + any() % 0xc0));
    test::put(card, 0x06, 2, 0x0010);
    std::vector<std::byte> values(any() % (card.config.size() + 1));
    std::generate(values.begin(), values.end(), [&] { return static_cast<std::byte>(any()); });
    const auto blocks = pci::decode(card, values);
    const auto left = pci::untold_words(blocks, card.config.size());
    for (const auto& block : blocks)
      for (const auto& each : block.registers) {
        CHECK(each.offset + each.size <= (each.offset < pci::reg::extended ? 0x100 : 0x1000));
        CHECK_FALSE(each.text.empty());
        CHECK(std::ranges::find(left, each.offset & ~3U) == left.end());
      }
    CHECK(std::ranges::all_of(left, [&](std::uint16_t word) { return word % 4 == 0 && word < card.config.size(); }));
  }
}

TEST_CASE("a guest's view of bytes is what it reads of hardware that has them") {
  for (const auto& card : every_sample()) {
    test::fake_port port(card);
    const auto bytes = pci::take_snapshot(port, card.config.size(), [] { return true; });
    REQUIRE(bytes.has_value());
    const auto space = pci::space::build(card, {}).value();
    const auto seen = pci::guest_view(space, *bytes);
    REQUIRE(seen.size() == card.config.size());
    for (std::size_t word = 0; word < seen.size(); word += 4) {
      const auto read = space.read(port, static_cast<std::int32_t>(word), 4);
      pci::function holder;
      holder.config = seen;
      CHECK(holder.copy(word, 4) == read.value);
    }
  }
}

TEST_CASE("a copy is not made at any price") {
  const auto card = test::e1000e();
  test::fake_port port(card);
  int left = 3;
  const auto late = pci::take_snapshot(port, card.config.size(), [&left] { return left-- > 0; });
  REQUIRE_FALSE(late.has_value());
  CHECK(late.error().error == ETIMEDOUT);
  CHECK(late.error().context.find("12 of 4096 bytes") != std::string::npos);
}

TEST_CASE("other settings hold from the next lease on, and at once where there is none") {
  const pci::policy before{.permissive = false}, after{.permissive = true};
  pci::lease_policy free(before, false);
  free.configure(after, false, false);
  CHECK(free.now() == after);

  pci::lease_policy leased(before, false);
  leased.configure(after, false, true);
  CHECK(leased.now() == before);
  leased.end_lease();
  CHECK(leased.now() == after);
}

TEST_CASE("what was switched at run time outlives other settings as long as it would have the old ones") {
  const pci::policy before{.permissive = false}, after{.msi = false}, switched{.permissive = true};
  pci::lease_policy one(before, false);
  one.set(switched);
  one.configure(after, false, false);
  CHECK(one.now() == switched);
  one.end_lease();
  CHECK(one.now() == after);

  pci::lease_policy kept(before, true);
  kept.set(switched);
  kept.configure(after, true, true);
  kept.end_lease();
  CHECK(kept.now() == switched);
  kept.configure(after, false, true);
  kept.end_lease();
  CHECK(kept.now() == after);
}
