// SPDX-License-Identifier: GPL-2.0-or-later
#include <doctest/doctest.h>

#include "fake_port.hpp"
#include "sample_functions.hpp"

#include "pci/config_space/space.hpp"

namespace {

/// Reads the extended space by dwords; returns how many accesses reached the hardware. It holds what the copy did not.
std::size_t dump_accesses(const pci::function& function, const pci::policy& policy) {
  const auto space = pci::space::build(function, policy);
  REQUIRE(space);
  test::fake_port port(function);
  port.set(0x200, 4, 0x12345678);
  for (std::int32_t offset = 0x100; offset < 0x1000; offset += 4)
    CHECK(space->read(port, offset, 4).error == pci::op_error::success);
  return port.accesses.size();
}

} // namespace

TEST_CASE("an extended space without capabilities is answered without the hardware") {
  CHECK(dump_accesses(test::nvme(), {}) == 0);
  CHECK(dump_accesses(test::virtual_function(), {}) == 0);
}

TEST_CASE("an extended space with anything in it, or that a guest may write, is the hardware's") {
  constexpr std::size_t all = 960;
  auto function = test::nvme();
  test::put(function, 0xffc, 1, 1);
  CHECK(dump_accesses(function, {}) == all);

  pci::policy permissive;
  permissive.permissive = true;
  CHECK(dump_accesses(test::nvme(), permissive) == all);

  pci::policy quirk;
  quirk.quirks = {{0x200, 4, 0xffffffff}};
  CHECK(dump_accesses(test::nvme(), quirk) == all);

  CHECK(dump_accesses(test::e1000e(), {}) > 0);
}

TEST_CASE("the next guest's policy decides anew") {
  pci::policy permissive;
  permissive.permissive = true;
  const auto function = test::nvme();
  auto space = pci::space::build(function, permissive);
  REQUIRE(space);
  test::fake_port port(function);
  port.set(0x200, 4, 0x12345678);
  CHECK(space->read(port, 0x200, 4).value == 0x12345678);
  space->reset({});
  CHECK(space->read(port, 0x200, 4).value == 0);
}
