// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <cstdint>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "pci/config_space/space.hpp"
#include "unit/fake_port.hpp"
#include "unit/sample_functions.hpp"

using pci::access;
using pci::op_error;
using test::fake_port;

namespace {

struct bench {
  explicit bench(const pci::function& function, const pci::policy& policy = {})
      : port(function), space(pci::space::build(function, policy).value()) {}
  std::uint32_t read(std::int32_t offset, std::int32_t size) {
    const access got = space.read(port, offset, size);
    REQUIRE(got.error == op_error::success);
    return got.value;
  }
  fake_port port;
  pci::space space;
};

std::vector<pci::function> samples() {
  return {test::e1000e(), test::nvme(), test::virtual_function(), test::legacy_card(), test::bridge()};
}

/// Reads and says whether the hardware was asked.
bool asks_hardware(bench& with, std::int32_t offset, std::int32_t size) {
  with.port.accesses.clear();
  (void)with.read(offset, size);
  REQUIRE(with.port.accesses.size() <= 1);
  return !with.port.accesses.empty();
}

} // namespace

TEST_CASE("a space is built for header types 0 and 1 and for 256 or 4096 bytes, for nothing else") {
  auto function = test::e1000e();
  CHECK(pci::space::build(function, {}));
  test::put(function, 0x0e, 1, 0x81);
  CHECK(pci::space::build(function, {}));
  for (const unsigned type : {0x02U, 0x03U, 0x7fU, 0xffU}) {
    test::put(function, 0x0e, 1, type);
    const auto built = pci::space::build(function, {});
    REQUIRE(!built);
    CHECK(built.error().error == ENODEV);
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{64}, std::size_t{255}, std::size_t{4097}}) {
    function.config.assign(size, std::byte{0});
    const auto built = pci::space::build(function, {});
    REQUIRE(!built);
    CHECK(built.error().error == EINVAL);
  }
}

TEST_CASE("malformed and out of range accesses are invalid_offset, whatever the integers are") {
  constexpr auto lowest = std::numeric_limits<std::int32_t>::min();
  constexpr auto highest = std::numeric_limits<std::int32_t>::max();
  const std::vector<std::int32_t> sizes{lowest, -4, -2, -1, 0, 1, 2, 3, 4, 5, 6, 8, 16, highest};
  for (const auto& function : samples()) {
    bench with{function};
    const auto end = static_cast<std::int32_t>(function.config_size());
    std::vector<std::int32_t> offsets{lowest, lowest + 4, -4096, -256, highest - 3, highest - 1, highest, 65536};
    for (std::int32_t offset = -8; offset < 4104; ++offset)
      offsets.push_back(offset);
    int wrong = 0;
    for (const auto size : sizes)
      for (const auto offset : offsets) {
        const bool shaped = (size == 1 || size == 2 || size == 4) && offset >= 0 && offset % size == 0;
        const bool good = shaped && offset <= end - size;
        with.port.accesses.clear();
        const access got = with.space.read(with.port, offset, size);
        wrong += (got.error == op_error::success) != good;
        if (!good) {
          const access put = with.space.write(with.port, offset, size, 0xffffffff);
          const std::uint32_t value = shaped ? pci::all_bits(static_cast<unsigned>(size)) : 0;
          wrong += got != access{op_error::invalid_offset, value};
          wrong += put != access{op_error::invalid_offset, 0xffffffff};
          wrong += !with.port.accesses.empty();
        } else {
          wrong += with.port.accesses.size() > 1;
          wrong += (got.value & ~pci::all_bits(static_cast<unsigned>(size))) != 0;
        }
      }
    CHECK(wrong == 0);
  }
}

TEST_CASE("a wider read is its bytes, and reads do not change what is read") {
  for (const auto& function : samples()) {
    bench with{function, {.quirks = {{0x42, 2, 0xff}, {0x2d, 1, 0xff}}}};
    int wrong = 0;
    for (std::int32_t offset = 0; offset < static_cast<std::int32_t>(function.config_size()); offset += 4) {
      std::uint32_t bytes = 0;
      std::uint32_t words = 0;
      for (std::int32_t i = 0; i < 4; ++i)
        bytes |= with.read(offset + i, 1) << (8 * i);
      for (std::int32_t i = 0; i < 4; i += 2)
        words |= with.read(offset + i, 2) << (8 * i);
      wrong += with.read(offset, 4) != bytes;
      wrong += words != bytes;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("a network card reads as the host knows it") {
  bench with{test::e1000e()};
  CHECK(with.read(0x00, 4) == 0x10d38086);
  CHECK(with.read(0x04, 2) == 0x0107);
  CHECK(with.read(0x08, 4) == 0x02000000);
  CHECK(with.read(0x0e, 1) == 0x00);
  CHECK(with.read(0x10, 4) == 0xfeb80000);
  CHECK(with.read(0x18, 4) == 0x0000c041);
  CHECK(with.read(0x20, 4) == 0);
  CHECK(with.read(0x2c, 4) == 0x00008086);
  CHECK(with.read(0x30, 4) == 0xfeb00000); // neither enabled nor Linux's shadow flag
  CHECK(with.read(0x34, 1) == 0xc8);
  CHECK(with.read(0x3c, 1) == 23); // the GSI, not the 11 of the register
  CHECK(with.read(0x3d, 1) == 1);
  CHECK(with.read(0xc8, 4) == 0x0023d001); // no PME support
  CHECK(with.read(0xd0, 4) == 0x0080e005);
  CHECK(with.read(0xa4, 4) == 0x00000003);
  CHECK(with.read(0x100, 4) == 0x14020001);
  CHECK(with.read(0xffc, 4) == 0);
}

TEST_CASE("a virtual function has its ids, no line, and the host's BARs") {
  bench with{test::virtual_function()};
  CHECK(with.read(0x00, 4) == 0x00101b36);
  CHECK(with.read(0x04, 2) == 0);
  CHECK(with.read(0x10, 4) == 0x00000004);
  CHECK(with.read(0x14, 4) == 0x00000008);
  CHECK(with.read(0x3c, 2) == 0);
  auto odd = test::virtual_function();
  odd.irq = 40;
  CHECK(bench{odd}.read(0x3c, 1) == 0);
}

TEST_CASE("an interrupt line beyond 254 is unknown") {
  auto function = test::e1000e();
  for (const auto& [irq, line] :
       std::vector<std::pair<unsigned, unsigned>>{{0, 0}, {1, 1}, {254, 254}, {255, 255}, {256, 255}, {0x117, 255}}) {
    function.irq = irq;
    CHECK(bench{function}.read(0x3c, 1) == line);
  }
}

TEST_CASE("constants are answered without the hardware, even when it has changed or gone") {
  const auto function = test::e1000e();
  bench with{function};
  struct row {
    std::int32_t offset, size;
  };
  const std::vector<row> constants{{0x00, 4}, {0x00, 2}, {0x03, 1}, {0x08, 4},  {0x0a, 2}, {0x0e, 1}, {0x10, 4},
                                   {0x14, 4}, {0x18, 4}, {0x1c, 4}, {0x20, 4},  {0x24, 4}, {0x28, 4}, {0x2c, 4},
                                   {0x30, 4}, {0x34, 4}, {0x3c, 4}, {0xc8, 4},  {0xca, 2}, {0xd0, 2}, {0xe0, 2},
                                   {0xa0, 2}, {0xa4, 4}, {0xa8, 4}, {0x100, 4}, {0x142, 2}};
  for (const auto& [offset, size] : constants) {
    CAPTURE(offset);
    CHECK(!asks_hardware(with, offset, size));
  }
  std::vector<std::uint32_t> before;
  for (const auto& [offset, size] : constants)
    before.push_back(with.read(offset, size));
  for (unsigned i = 0; i < 4096; ++i)
    with.port.set(i, 1, 0xff);
  with.port.fail_reads(ENODEV);
  for (std::size_t i = 0; i < constants.size(); ++i)
    CHECK(with.read(constants[i].offset, constants[i].size) == before[i]);
}

TEST_CASE("what the hardware can change is read from it, once, at the width asked for") {
  bench with{test::e1000e()};
  using test::hardware_access;
  struct row {
    std::int32_t offset, size;
  };
  for (const auto& [offset, size] :
       std::vector<row>{{0x04, 4}, {0x04, 2}, {0x04, 1}, {0x06, 2}, {0x0c, 4},  {0x0c, 1},  {0x0d, 1},
                        {0x0f, 1}, {0x38, 4}, {0xcc, 4}, {0xcc, 2}, {0xd0, 4},  {0xd2, 2},  {0xd4, 4},
                        {0xa0, 4}, {0xa2, 2}, {0xe0, 4}, {0xe8, 4}, {0x104, 4}, {0x144, 4}, {0xff0, 1}}) {
    CAPTURE(offset);
    with.port.accesses.clear();
    (void)with.read(offset, size);
    REQUIRE(with.port.accesses.size() == 1);
    CHECK(with.port.accesses[0] ==
          hardware_access{false, static_cast<unsigned>(offset), static_cast<unsigned>(size), 0});
  }
}

TEST_CASE("a status bit and a control bit that the hardware sets are seen") {
  bench with{test::e1000e()};
  with.port.set(0x06, 2, 0x8018);
  with.port.set(0xd2, 2, 0x0081);
  with.port.set(0xa2, 2, 0x8004);
  with.port.set(0xcc, 2, 0xa003);
  with.port.set(0x0f, 1, 0x45);
  CHECK(with.read(0x06, 2) == 0x8018);
  CHECK(with.read(0x04, 4) == 0x80180107);
  CHECK(with.read(0xd2, 2) == 0x0081);
  CHECK(with.read(0xa0, 4) == 0x80040011);
  CHECK(with.read(0xcc, 2) == 0xa003);
  CHECK(with.read(0x0c, 4) == 0x45000000);
}

TEST_CASE("a whole dump by dwords asks the hardware for no more than it must") {
  bench with{test::e1000e()};
  for (std::int32_t offset = 0; offset < 4096; offset += 4)
    (void)with.read(offset, 4);
  // 1024 dwords less 00, 08, 10..30 (9), 34, 3c; PM, MSI-X table and PBA; 100, 140.
  CHECK(with.port.accesses.size() == 1024 - 13 - 3 - 2);
  bench card{test::legacy_card()};
  for (std::int32_t offset = 0; offset < 256; offset += 4)
    (void)card.read(offset, 4);
  CHECK(card.port.accesses.size() == 64 - 13 - 1);
}

TEST_CASE("a bridge has two BARs and its ROM at 38; windows come from the hardware") {
  bench with{test::bridge()};
  CHECK(with.read(0x0e, 1) == 0x81);
  CHECK(with.read(0x10, 4) == 0xfe000000);
  CHECK(with.read(0x14, 4) == 0);
  CHECK(with.read(0x38, 4) == 0xfe010000);
  with.port.set(0x18, 4, 0x00030200);
  with.port.set(0x3e, 2, 0x0022);
  with.port.set(0x30, 4, 0x12345678);
  CHECK(with.read(0x18, 4) == 0x00030200);
  CHECK(with.read(0x3c, 4) == 0x00220110);
  CHECK(with.read(0x30, 4) == 0x12345678);
}

TEST_CASE("a failure of the platform becomes one of the known numbers, with all ones") {
  bench with{test::e1000e()};
  for (const int error : {ENODEV, EIO, EINVAL, EPERM, EACCES, ENOMEM}) {
    with.port.fail_reads(error);
    const auto expected = error == ENODEV ? op_error::dev_not_found : op_error::op_failed;
    CHECK(with.space.read(with.port, 0x06, 2) == access{expected, 0xffff});
    CHECK(with.space.read(with.port, 0x104, 4) == access{expected, 0xffffffff});
    CHECK(with.space.read(with.port, 0xcc, 1) == access{expected, 0xff});
  }
}

TEST_CASE("a value has the bits that were asked for and no others, whatever the platform hands up") {
  bench with{test::e1000e()};
  with.port.set(0x06, 2, 0x8010);
  with.port.make_noise(0xffffffff);
  CHECK(with.read(0x06, 2) == 0x8010);
  CHECK(with.read(0x04, 1) == 0x07);
  CHECK(with.read(0x0f, 1) == 0x00);
}

TEST_CASE("the reference copy is read within its bounds") {
  const auto function = test::legacy_card();
  CHECK(function.copy(0, 4) == 0x813910ec);
  CHECK(function.copy(2, 2) == 0x8139);
  CHECK(function.copy(255, 1) == 0);
  CHECK(function.copy(255, 2) == 0xffff);
  CHECK(function.copy(256, 1) == 0xff);
  CHECK(function.copy(static_cast<std::size_t>(-1), 4) == 0xffffffff);
}
