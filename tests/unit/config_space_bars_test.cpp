// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "pci/config_space/base_registers.hpp"
#include "pci/config_space/space.hpp"
#include "unit/fake_port.hpp"
#include "unit/sample_functions.hpp"

using pci::op_error;
using test::fake_port;
using test::hardware_access;
using writes = std::vector<hardware_access>;

namespace {

struct bench {
  explicit bench(const pci::function& function) : port(function), space(pci::space::build(function, {}).value()) {}
  std::uint32_t read(std::int32_t offset) { return space.read(port, offset, 4).value; }
  op_error write(std::int32_t offset, std::uint32_t value) { return space.write(port, offset, 4, value).error; }
  fake_port port;
  pci::space space;
};

pci::function with_bar(std::uint64_t start, std::uint64_t end, std::uint64_t flags) {
  auto function = test::e1000e();
  function.resources = {};
  function.resources[2] = {start, end, flags};
  return function;
}

struct pair {
  std::uint32_t value, size_mask;
  friend bool operator==(const pair&, const pair&) = default;
};

pair shown(const pci::function& function, std::size_t index) {
  const auto made = pci::base_registers(function).at(index);
  return {made.value, made.size_mask};
}

} // namespace

TEST_CASE("what a guest sees in a BAR: each kind of resource") {
  CHECK(shown(with_bar(0xfe000000, 0xfe000fff, 0x40200), 2) == pair{0xfe000000, 0xfffff000});
  CHECK(shown(with_bar(0xfe000000, 0xfe0fffff, 0x42208), 2) == pair{0xfe000008, 0xfff00008});
  CHECK(shown(with_bar(0xfe000000, 0xfe000fff, 0x40202), 2) == pair{0xfe000002, 0xfffff002});
  CHECK(shown(with_bar(0xc040, 0xc05f, 0x40101), 2) == pair{0xc041, 0xffffffe1});
  CHECK(shown(with_bar(0, 0, 0), 2) == pair{0, 0});
  CHECK(shown(with_bar(0x1000, 0xfff, 0x40200), 2) == pair{0, 0});
  // Flags that say it by name alone mean the same.
  CHECK(shown(with_bar(0xc040, 0xc05f, pci::resource::io), 2) == pair{0xc041, 0xffffffe1});
  CHECK(shown(with_bar(0x1000, 0x1fff, pci::resource::memory | pci::resource::memory_64 | pci::resource::prefetch),
              2) == pair{0x100c, 0xfffff00c});
}

TEST_CASE("a 64-bit BAR has two halves") {
  const auto function = with_bar(0x38'4000'0000, 0x3b'3fff'ffff, 0x14220c);
  CHECK(shown(function, 2) == pair{0x4000000c, 0x0000000c});
  CHECK(shown(function, 3) == pair{0x00000038, 0xfffffffd});
  CHECK(shown(function, 4) == pair{0, 0});
  const auto low = with_bar(0xe0000000, 0xefffffff, 0x14220c);
  CHECK(shown(low, 2) == pair{0xe000000c, 0xf000000c});
  CHECK(shown(low, 3) == pair{0, 0xffffffff});
}

TEST_CASE("the last BAR's upper half is not the ROM") {
  auto function = test::e1000e();
  function.resources[5] = {0x38'0000'0000, 0x38'0000'0fff, 0x140204};
  CHECK(shown(function, 5) == pair{0x00000004, 0xfffff004});
  CHECK(shown(function, 6) == pair{0xfeb00000, 0xfffc0000});
}

TEST_CASE("a resource without an address that holds is not implemented, its upper half neither") {
  for (const auto flag : {pci::resource::disabled, pci::resource::unset, pci::resource::busy}) {
    const auto function = with_bar(0x38'4000'0000, 0x38'4000'0fff, 0x14220c | flag);
    CHECK(shown(function, 2) == pair{0, 0});
    CHECK(shown(function, 3) == pair{0, 0});
    auto rom = test::e1000e();
    rom.resources[6].flags |= flag;
    CHECK(shown(rom, 6) == pair{0, 0});
  }
}

// What lspci calls "Expansion ROM at <unassigned> [disabled]": no flag tells of it.
TEST_CASE("a ROM that nobody gave an address is not implemented") {
  auto function = test::e1000e();
  function.resources[6] = {0, 0x7ffff, 0x46200};
  CHECK_FALSE(pci::usable(function.resources[6]));
  CHECK(shown(function, 6) == pair{0, 0});
}

TEST_CASE("sizing: all ones, but for the bits that are no address") {
  bench with{test::e1000e()};
  struct row {
    std::int32_t offset;
    std::uint32_t value, size_mask, loosest;
  };
  for (const auto& [offset, value, size_mask, loosest] : std::vector<row>{{0x10, 0xfeb80000, 0xfffe0000, 0xfffffff0},
                                                                          {0x18, 0x0000c041, 0xffffffe1, 0xfffffffc},
                                                                          {0x1c, 0xfebd0000, 0xffffc000, 0xfffffff0},
                                                                          {0x30, 0xfeb00000, 0xfffc0000, 0xfffff800},
                                                                          {0x20, 0, 0, 0xfffffff0}}) {
    CAPTURE(offset);
    for (const std::uint32_t all : {0xffffffffU, loosest, loosest | value}) {
      CHECK(with.write(offset, all) == op_error::success);
      CHECK(with.read(offset) == size_mask);
      CHECK(with.read(offset) == size_mask); // until the next write
      CHECK(with.write(offset, value) == op_error::success);
      CHECK(with.read(offset) == value);
    }
    CHECK(with.write(offset, loosest << 1) == op_error::success);
    CHECK(with.read(offset) == value);
    CHECK(with.write(offset, 0xffffffff) == op_error::success);
    CHECK(with.write(offset, 0x12345678) == op_error::success); // nothing moves, and the sizing ends
    CHECK(with.read(offset) == value);
  }
  CHECK(with.port.writes().empty());
}

TEST_CASE("the upper half is sized by exactly all ones") {
  bench with{test::nvme()};
  CHECK(with.write(0x14, 0xfffffff0) == op_error::success);
  CHECK(with.read(0x14) == 8);
  CHECK(with.write(0x14, 0xffffffff) == op_error::success);
  CHECK(with.read(0x14) == 0xffffffff);
  CHECK(with.read(0x10) == 4); // each on its own
  CHECK(with.write(0x14, 8) == op_error::success);
  CHECK(with.port.writes().empty());
}

TEST_CASE("sizing works as one 32-bit write, not in parts") {
  bench with{test::e1000e()};
  CHECK(with.space.write(with.port, 0x10, 2, 0xffff).error == op_error::success);
  CHECK(with.read(0x10) == 0xfeb80000);
  CHECK(with.space.write(with.port, 0x13, 1, 0xff).error == op_error::success);
  CHECK(with.read(0x10) == 0xfeb80000);
  CHECK(with.port.writes().empty());
}

TEST_CASE("a BAR that a reset has emptied is restored by writing back its value") {
  bench with{test::e1000e()};
  with.port.set(0x10, 4, 0);
  CHECK(with.write(0x10, 0xfeb90000) == op_error::success);
  CHECK(with.port.get(0x10, 4) == 0);
  CHECK(with.write(0x10, 0xfeb80000) == op_error::success);
  CHECK(with.port.get(0x10, 4) == 0xfeb80000);
  with.port.set(0x18, 4, 1);
  CHECK(with.write(0x18, 0xc041) == op_error::success);
  CHECK(with.port.writes().back() == hardware_access{true, 0x18, 4, 0xc041});
  bench disk{test::nvme()};
  disk.port.set(0x14, 4, 0);
  CHECK(disk.write(0x14, 8) == op_error::success);
  CHECK(disk.port.writes() == writes{{true, 0x14, 4, 8}});
}

TEST_CASE("the ROM is restored with the hardware's enable bit, and is not enabled by a guest") {
  bench with{test::e1000e()};
  with.port.set(0x30, 4, 0xfeb00001);
  CHECK(with.write(0x30, 0xfeb00000) == op_error::success);
  CHECK(with.write(0x30, 0xfeb00001) == op_error::success);
  CHECK(with.port.writes().empty());
  with.port.set(0x30, 4, 0x00000001);
  CHECK(with.write(0x30, 0xfeb00000) == op_error::success);
  CHECK(with.port.writes() == writes{{true, 0x30, 4, 0xfeb00001}});
}

TEST_CASE("what is not implemented, and a virtual function's registers, are never written") {
  bench with{test::e1000e()};
  with.port.set(0x20, 4, 0x1000);
  CHECK(with.write(0x20, 0) == op_error::success);
  bench vf{test::virtual_function()};
  CHECK(vf.write(0x10, 4) == op_error::success);
  CHECK(vf.write(0x14, 8) == op_error::success);
  CHECK(vf.port.writes().empty());
  CHECK(with.port.writes().empty());
}

TEST_CASE("a restoration that fails is reported") {
  bench with{test::e1000e()};
  with.port.set(0x10, 4, 0);
  with.port.fail_writes(EIO);
  CHECK(with.write(0x10, 0xfeb80000) == op_error::op_failed);
  with.port.fail_reads(ENODEV);
  CHECK(with.write(0x10, 0xfeb80000) == op_error::dev_not_found);
}

TEST_CASE("sizing ends with the guest") {
  bench with{test::e1000e()};
  CHECK(with.write(0x10, 0xffffffff) == op_error::success);
  CHECK(with.write(0x30, 0xffffffff) == op_error::success);
  CHECK(with.space.state().sizing == 0x41);
  with.space.reset({});
  CHECK(with.read(0x10) == 0xfeb80000);
  CHECK(with.read(0x30) == 0xfeb00000);
}

TEST_CASE("a bridge's third register is a window, not a BAR") {
  bench with{test::bridge()};
  CHECK(with.write(0x10, 0xffffffff) == op_error::success);
  CHECK(with.read(0x10) == 0xfffff000);
  CHECK(with.write(0x38, 0xfffff800) == op_error::success);
  CHECK(with.read(0x38) == 0xfffff800);
  CHECK(with.write(0x18, 0xffffffff) == op_error::success);
  CHECK(with.read(0x18) == 0x00020100);
  CHECK(with.port.writes().empty());
}
