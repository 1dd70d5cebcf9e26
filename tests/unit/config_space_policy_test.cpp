// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "pci/config_space/space.hpp"
#include "unit/fake_port.hpp"
#include "unit/sample_functions.hpp"

using pci::op_error;
using pci::quirk;
using test::fake_port;
using test::hardware_access;
using writes = std::vector<hardware_access>;

namespace {

struct bench {
  explicit bench(const pci::function& function, const pci::policy& policy = {})
      : port(function), space(pci::space::build(function, policy).value()) {}
  std::uint32_t read(std::int32_t offset, std::int32_t size) { return space.read(port, offset, size).value; }
  op_error write(std::int32_t offset, std::int32_t size, std::uint32_t value) {
    return space.write(port, offset, size, value).error;
  }
  fake_port port;
  pci::space space;
};

pci::policy listing(std::vector<quirk> quirks) { return {.quirks = std::move(quirks)}; }

} // namespace

TEST_CASE("a write that no field covers is dropped with success, and said once a guest") {
  bench with{test::e1000e()};
  CHECK(!with.space.take_dropped_write_warning());
  CHECK(with.write(0xd4, 4, 0xfee00000) == op_error::success);
  CHECK(with.write(0xe8, 2, 0x1234) == op_error::success);
  CHECK(with.port.writes().empty());
  CHECK(with.space.state().dropped == pci::dropped_writes{2, 0xe8, 2, 0x1234, false});
  CHECK(with.space.take_dropped_write_warning());
  CHECK(!with.space.take_dropped_write_warning());
  CHECK(with.write(0x104, 1, 0xffffff12) == op_error::success);
  CHECK(with.space.state().dropped == pci::dropped_writes{3, 0x104, 1, 0x12, true});
  CHECK(!with.space.take_dropped_write_warning());
  with.space.reset({});
  CHECK(!with.space.take_dropped_write_warning());
  CHECK(with.write(0x2c, 4, 0) == op_error::success);
  CHECK(with.space.take_dropped_write_warning());
}

TEST_CASE("permissive: what no field covers is written raw, constants for reading included") {
  bench with{test::e1000e(), {.permissive = true}};
  struct row {
    std::int32_t offset, size;
  };
  for (const auto& [offset, size] : std::vector<row>{{0x08, 4},
                                                     {0x0e, 1},
                                                     {0x28, 4},
                                                     {0x2c, 2},
                                                     {0x34, 4},
                                                     {0x38, 4},
                                                     {0x3e, 2},
                                                     {0xd4, 4},
                                                     {0xa4, 4},
                                                     {0xe0, 4},
                                                     {0xe8, 2},
                                                     {0x100, 4},
                                                     {0x104, 4},
                                                     {0xfff, 1}}) {
    CAPTURE(offset);
    with.port.accesses.clear();
    CHECK(with.write(offset, size, 0xa5a5a5a5) == op_error::success);
    CHECK(with.port.accesses == writes{{true, static_cast<unsigned>(offset), static_cast<unsigned>(size),
                                        0xa5a5a5a5 & pci::all_bits(static_cast<unsigned>(size))}});
  }
  CHECK(with.space.state().dropped.count == 0);
  with.port.fail_writes(ENODEV);
  CHECK(with.write(0x104, 4, 0) == op_error::dev_not_found);
}

TEST_CASE("permissive: beside a field nothing is written") {
  bench with{test::bridge(), {.permissive = true}};
  CHECK(with.write(0x3c, 4, 0xffffffff) == op_error::success); // INTERRUPT_LINE covers it, bridge control goes nowhere
  CHECK(with.port.writes().empty());
  CHECK(with.write(0x3e, 2, 0x0040) == op_error::success);
  CHECK(with.write(0x18, 4, 0x00030200) == op_error::success);
  CHECK(with.port.writes() == writes{{true, 0x3e, 2, 0x0040}, {true, 0x18, 4, 0x00030200}});
}

TEST_CASE("a quirk opens the bits of its mask, permissive or not") {
  for (const bool permissive : {false, true}) {
    bench with{test::e1000e(), {.permissive = permissive, .quirks = {{0xe8, 2, 0x00f0}}}};
    CHECK(with.space.refused_quirks().empty());
    with.port.set(0xe8, 2, 0xab0c);
    with.port.allow(0xe8, 2, 0xffff);
    CHECK(with.write(0xe8, 2, 0x1234) == op_error::success);
    CHECK(with.port.get(0xe8, 2) == 0xab3c);
    CHECK(with.read(0xe8, 2) == 0xab3c);
  }
}

TEST_CASE("only the bytes that the guest and the quirk share are accessed") {
  bench with{test::e1000e(), listing({{0xe8, 4, 0xffff00ff}, {0x145, 1, 0xff}})};
  with.port.allow(0xe8, 4, 0xffffffff);
  CHECK(with.write(0xea, 2, 0xbeef) == op_error::success); // the mask is whole there: nothing to read first
  CHECK(with.port.accesses == writes{{true, 0xea, 2, 0xbeef}});
  with.port.accesses.clear();
  CHECK(with.write(0xe9, 1, 0xff) == op_error::success); // nothing of it may change
  CHECK(with.port.accesses.empty());
  CHECK(with.write(0xe8, 4, 0x11223344) == op_error::success);
  CHECK(with.port.get(0xe8, 4) == 0x11220044);
  with.port.accesses.clear();
  CHECK(with.write(0x144, 4, 0xa1b2c3d4) == op_error::success); // a wider write, of which the quirk takes its byte
  CHECK(with.port.writes() == writes{{true, 0x145, 1, 0xc3}});
}

TEST_CASE("a quirk that cannot be read or written is reported") {
  bench with{test::e1000e(), listing({{0xe8, 2, 0x00f0}})};
  with.port.fail_reads(EIO);
  CHECK(with.write(0xe8, 2, 0) == op_error::op_failed);
  CHECK(with.port.writes().empty());
  with.port.fail_reads(0);
  with.port.fail_writes(ENODEV);
  CHECK(with.write(0xe8, 2, 0) == op_error::dev_not_found);
}

TEST_CASE("a quirk opens registers that are read-only or constant, and then reads the hardware") {
  bench with{test::e1000e(), listing({{0x0d, 1, 0xff}, {0x2c, 2, 0xffff}, {0x100, 1, 0xff}, {0xe0, 4, 0xffffffff}})};
  CHECK(with.space.refused_quirks().empty());
  with.port.allow(0x2c, 4, 0xffffffff);
  CHECK(with.write(0x0d, 1, 0x40) == op_error::success);
  CHECK(with.read(0x0d, 1) == 0x40);
  CHECK(with.write(0x2c, 4, 0x12345678) == op_error::success);
  CHECK(with.read(0x2c, 4) == 0x00005678); // the other half is still the copy's
  with.port.set(0x100, 4, 0xffffffff);
  CHECK(with.read(0x100, 4) == 0x140200ff);
}

TEST_CASE("a quirk over a register with a rule of its own is refused, and the rule stands") {
  const std::vector<quirk> over{
      {0x04, 2, 0xffff},     {0x04, 4, 0xffffffff}, {0x05, 1, 0xff},       {0x06, 2, 0xffff}, {0x00, 2, 0xffff},
      {0x0c, 4, 0xffffffff}, {0x0e, 2, 0xffff},     {0x10, 4, 0xffffffff}, {0x12, 1, 0xff},   {0x30, 1, 0xff},
      {0x3c, 1, 0xff},       {0x3c, 4, 0xffffffff}, {0xc8, 4, 0xffffffff}, {0xcc, 2, 0xffff}, {0xd0, 4, 0xffffffff},
      {0xd3, 1, 0xff},       {0xa2, 2, 0xffff}};
  bench with{test::e1000e(), listing(over)};
  CHECK(with.space.refused_quirks() == over);
  CHECK(with.write(0xd2, 2, 0x0081) == op_error::access_denied);
  CHECK(with.read(0x3c, 1) == 23);
}

TEST_CASE("a quirk that is not aligned to its size opens its bytes") {
  const std::vector<quirk> both{{0xe9, 2, 0xf0ff}, {0x146, 4, 0xff0000ff}};
  bench with{test::e1000e(), listing(both)};
  CHECK(with.space.refused_quirks().empty());
  with.port.allow(0xe8, 4, 0xffffffff);
  with.port.allow(0x144, 4, 0xffffffff);
  with.port.allow(0x148, 4, 0xffffffff);
  CHECK(with.write(0xe8, 4, 0xaabbccdd) == op_error::success);
  CHECK(with.port.get(0xe9, 1) == 0xcc);
  CHECK((with.port.get(0xea, 1) & 0xf0) == 0xb0);
  CHECK(with.read(0xe9, 1) == 0xcc);
  CHECK(with.write(0x146, 1, 0x12) == op_error::success);
  CHECK(with.port.get(0x146, 1) == 0x12);
  bench refused{test::e1000e(), listing({{0xd1, 2, 0xffff}})}; // one of its bytes is a register with a rule
  CHECK(refused.space.refused_quirks().size() == 1);
}

TEST_CASE("a malformed quirk, one beyond the space, and a second over the first are refused") {
  const std::vector<quirk> odd{{0x40, 3, 0xff}, {0x40, 0, 0}, {0x100, 1, 1}, {0xfff, 1, 1}, {0xff, 2, 1}};
  bench with{test::legacy_card(), listing(odd)};
  CHECK(with.space.refused_quirks() == odd);
  bench twice{test::legacy_card(), listing({{0x80, 4, 0xff}, {0x80, 4, 0xff00}, {0x82, 1, 0xff}, {0x84, 1, 0xff}})};
  CHECK(twice.space.refused_quirks() == std::vector<quirk>{{0x80, 4, 0xff00}, {0x82, 1, 0xff}});
  bench end{test::legacy_card(), listing({{0xfc, 4, 0xff}})};
  CHECK(end.space.refused_quirks().empty());
}

TEST_CASE("all that a guest did ends with it, and the next one's policy is in force") {
  const auto function = test::e1000e();
  bench with{function, {.permissive = true, .allow_interrupt_control = true, .quirks = {{0xe8, 2, 0xffff}}}};
  const auto fresh = pci::space::build(function, {}).value();
  CHECK(with.write(0x04, 2, 0x0406) == op_error::success);
  CHECK(with.write(0x10, 4, 0xffffffff) == op_error::success);
  with.space.reset({});
  CHECK(with.space.state() == fresh.state());
  CHECK(with.space.fields().size() == fresh.fields().size());
  CHECK(!with.space.decoding());
  with.port.accesses.clear();
  CHECK(with.write(0xe8, 2, 0xffff) == op_error::success);
  CHECK(with.write(0x104, 4, 0xffffffff) == op_error::success);
  CHECK(with.write(0xd2, 2, 0x0081) == op_error::access_denied);
  CHECK(with.port.writes().empty());
  with.space.reset(listing({{0x104, 4, 0xffffffff}, {0x04, 2, 1}}));
  CHECK(with.space.refused_quirks() == std::vector<quirk>{{0x04, 2, 1}});
  CHECK(with.write(0x104, 4, 0x1) == op_error::success);
  CHECK(with.port.writes() == writes{{true, 0x104, 4, 1}});
}

TEST_CASE("a restarted daemon goes on under the guest") {
  const auto function = test::e1000e();
  bench before{function};
  CHECK(before.write(0x04, 2, 0x0406) == op_error::success);
  CHECK(before.write(0x14, 4, 0xffffffff) == op_error::success);
  CHECK(before.write(0x104, 4, 0) == op_error::success);
  CHECK(before.space.take_dropped_write_warning());
  bench after{function};
  after.space.adopt(before.space.state());
  CHECK(after.space.decoding());
  after.port.set(0x04, 2, 0x0007);
  CHECK(after.read(0x04, 2) == 0x0406);
  CHECK(after.read(0x14, 4) == 0xfffe0000);
  CHECK(!after.space.take_dropped_write_warning());
}

TEST_CASE("whatever a restart would need shows as a change of the state") {
  bench with{test::e1000e()};
  struct row {
    std::int32_t offset, size;
    std::uint32_t value;
  };
  for (const auto& [offset, size, value] : std::vector<row>{{0x04, 2, 0x0507},
                                                            {0x04, 2, 0x0504},
                                                            {0x10, 4, 0xffffffff},
                                                            {0x10, 4, 0},
                                                            {0x24, 4, 0xfffffff0},
                                                            {0xd4, 4, 1},
                                                            {0xd4, 4, 1}}) {
    const auto before = with.space.state();
    CHECK(with.write(offset, size, value) == op_error::success);
    CHECK(with.space.state() != before);
  }
  const auto before = with.space.state();
  CHECK(with.space.take_dropped_write_warning());
  CHECK(with.space.state() != before);
  const auto after = with.space.state();
  (void)with.read(0x04, 4);
  CHECK(with.write(0xcc, 2, 3) == op_error::success); // the hardware keeps that
  CHECK(with.space.state() == after);
}
