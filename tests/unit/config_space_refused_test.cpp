// SPDX-License-Identifier: GPL-2.0-or-later
// Writes that did not do what the guest asked for: counted, kept, named, and made into quirks.
#include <algorithm>
#include <cerrno>
#include <vector>

#include <doctest/doctest.h>

#include "pci/config_space/field_list.hpp"
#include "pci/config_space/refused_writes.hpp"
#include "pci/config_space/register_names.hpp"
#include "pci/config_space/space.hpp"
#include "unit/fake_port.hpp"
#include "unit/sample_functions.hpp"

using pci::op_error;
using pci::quirk;
using pci::refused_write;
using pci::write_mode;
using test::fake_port;

namespace {

struct bench {
  explicit bench(const pci::policy& policy = {})
      : function(test::e1000e()), port(function), space(pci::space::build(function, policy).value()) {}
  op_error write(std::int32_t offset, std::int32_t size, std::uint32_t value) {
    return space.write(port, offset, size, value).error;
  }
  std::vector<refused_write> refused() {
    const auto last = space.refused().last();
    return {last.begin(), last.end()};
  }
  std::vector<quirk> suggestions(const std::vector<quirk>& present = {}) {
    return pci::suggested_quirks(present, space.refused().last(), space.own_fields(), space.size());
  }
  pci::function function;
  fake_port port;
  pci::space space;
};

} // namespace

TEST_CASE("a dropped write is kept with the bits that it would have changed") {
  bench with;
  with.port.set(0xe8, 2, 0x2810);
  CHECK(with.write(0xe8, 2, 0x2830) == op_error::success);
  CHECK(with.refused() == std::vector<refused_write>{{0xe8, 2, 0x2830, 0x0020, 1, op_error::success}});
  CHECK(with.write(0xe8, 2, 0x2910) == op_error::success);
  CHECK(with.refused() == std::vector<refused_write>{{0xe8, 2, 0x2910, 0x0120, 2, op_error::success}});
  CHECK(with.port.writes().empty());
  CHECK(with.space.refused().count() == 2);
}

TEST_CASE("a write of what is there may have been meant to clear it") {
  bench with;
  with.port.set(0x104, 4, 0x00004000);
  CHECK(with.write(0x104, 4, 0x00004000) == op_error::success);
  CHECK(with.refused() == std::vector<refused_write>{{0x104, 4, 0x4000, 0x4000, 1, op_error::success}});
  with.port.fail_reads(EIO);
  CHECK(with.write(0x108, 4, 0) == op_error::success);
  CHECK(with.refused().back() == refused_write{0x108, 4, 0, 0xffffffff, 1, op_error::success});
}

TEST_CASE("a quirk's mask keeps bits from the guest, and that is a refusal too") {
  bench with{{.quirks = {{0xe8, 2, 0x00f0}, {0x2c, 4, 0}}}};
  with.port.allow(0xe8, 2, 0xffff);
  with.port.set(0xe8, 2, 0x2810);
  CHECK(with.write(0xe8, 2, 0x2820) == op_error::success); // within the mask
  CHECK(with.refused().empty());
  CHECK(with.write(0xe8, 2, 0x3821) == op_error::success);
  CHECK(with.port.get(0xe8, 2) == 0x2820);
  CHECK(with.refused() == std::vector<refused_write>{{0xe8, 2, 0x3821, 0x1001, 1, op_error::success}});
  CHECK(with.write(0x2c, 4, 0x12) == op_error::success);
  CHECK(with.refused().back() == refused_write{0x2c, 4, 0x12, 0x12, 1, op_error::success});
}

TEST_CASE("a read-only register counts when the guest wanted to change it") {
  bench with;
  with.port.set(0x0d, 1, 0x40);
  CHECK(with.write(0x0c, 4, 0x00004010) == op_error::success); // as it is; the cache line size is the guest's
  CHECK(with.refused().empty());
  CHECK(with.write(0x0c, 4, 0x00002010) == op_error::success);
  CHECK(with.refused() == std::vector<refused_write>{{0x0d, 1, 0x20, 0x60, 1, op_error::success}});
  CHECK(with.write(0x0d, 1, 0x00) == op_error::success);
  CHECK(with.refused() == std::vector<refused_write>{{0x0d, 1, 0x00, 0x60, 2, op_error::success}});
}

TEST_CASE("the bytes beside a field are not written, and kept when the guest wanted to change them") {
  bench with;
  CHECK(with.write(0x3c, 4, 0x0000010b) == op_error::success); // MIN_GNT and MAX_LAT as they are
  const auto line = with.refused();
  CHECK(with.write(0x3c, 4, 0x0302010b) == op_error::success);
  REQUIRE(with.refused().size() == line.size() + 1);
  CHECK(with.refused().back() == refused_write{0x3e, 2, 0x0302, 0x0302, 1, op_error::success});
  CHECK(with.write(0x0c, 4, 0x00800010) == op_error::success);
  CHECK(with.refused().back() == refused_write{0x0e, 1, 0x80, 0x80, 1, op_error::success});
  CHECK(with.port.writes() == std::vector<test::hardware_access>{{true, 0x0c, 1, 0x10}});
}

TEST_CASE("what is denied is kept with its error, and no quirk can mend it") {
  bench with;
  CHECK(with.write(0xd2, 2, 0x0081) == op_error::access_denied);
  CHECK(with.refused() == std::vector<refused_write>{{0xd2, 2, 0x81, 0xffff, 1, op_error::access_denied}});
  CHECK(with.suggestions().empty());
}

TEST_CASE("however much a guest writes, the last registers are kept") {
  bench with;
  for (std::int32_t round = 0; round < 3; ++round) {
    for (std::int32_t offset = 0x200; offset < 0x400; offset += 4) {
      CHECK(with.write(offset, 4, 0xff) == op_error::success);
    }
  }
  CHECK(with.space.refused().count() == 3 * 128);
  const auto kept = with.refused();
  REQUIRE(kept.size() == pci::refused_writes::most);
  CHECK(kept.back().offset == 0x3fc);
  CHECK(kept.front().offset == 0x3fc - 4 * (pci::refused_writes::most - 1));
  with.space.reset({});
  CHECK(with.space.refused().count() == 0);
  CHECK(with.refused().empty());
}

TEST_CASE("the suggestions, taken as quirks, let the guest's writes through") {
  bench with{{.quirks = {{0xe8, 2, 0x00f0}}}};
  with.port.allow(0xe8, 4, 0xffffffff);
  with.port.allow(0x104, 4, 0xffffffff);
  with.port.set(0xe8, 4, 0);
  const auto write_all = [&] {
    CHECK(with.write(0xe8, 2, 0x0f01) == op_error::success);
    CHECK(with.write(0xe8, 4, 0x80000000) == op_error::success);
    CHECK(with.write(0x105, 1, 0x02) == op_error::success);
    CHECK(with.write(0x106, 1, 0x40) == op_error::success);
    CHECK(with.write(0x104, 2, 0x0207) == op_error::success);
  };
  write_all();
  const auto wanted = with.suggestions({{0xe8, 2, 0x00f0}});
  CHECK(pci::refused_quirks(with.function, {.quirks = wanted}).empty());
  with.space.set_policy({.quirks = wanted});
  CHECK(with.space.refused_quirks().empty());
  const auto before = with.space.refused().count();
  write_all();
  CHECK(with.space.refused().count() == before);
  CHECK(with.port.get(0xe8, 4) == 0x80000000);
  CHECK(with.port.get(0x104, 4) == 0x00400207);
}

TEST_CASE("overlapping registers become one quirk") {
  const std::vector<refused_write> refused{{0x104, 1, 0, 0x01, 1, op_error::success},
                                           {0x107, 1, 0, 0x80, 1, op_error::success},
                                           {0x104, 4, 0, 0x00ff0000, 1, op_error::success},
                                           {0xe8, 2, 0, 0x3, 1, op_error::success}};
  CHECK(pci::suggested_quirks({{0x105, 1, 0x10}}, refused, {}, 4096) ==
        std::vector<quirk>{{0xe8, 2, 0x3}, {0x104, 4, 0x80ff1001}});
  CHECK(pci::suggested_quirks({{0x104, 4, 0x1}}, {{refused[1]}}, {}, 4096) ==
        std::vector<quirk>{{0x104, 4, 0x80000001}});
}

TEST_CASE("a policy changes under the guest, and what the guest has done stays") {
  bench with;
  CHECK(with.space.mode() == write_mode::strict);
  CHECK(with.write(0x04, 2, 0x0406) == op_error::success);
  CHECK(with.write(0xe8, 2, 0x1) == op_error::success);
  const auto before = with.space.state();
  with.space.set_policy({.quirks = {{0xe8, 2, 0xffff}, {0x04, 2, 1}}});
  CHECK(with.space.mode() == write_mode::listed);
  CHECK(with.space.refused_quirks() == std::vector<quirk>{{0x04, 2, 1}});
  CHECK(with.space.state() == before);
  CHECK(with.space.refused().count() == 1);
  with.port.allow(0xe8, 2, 0xffff);
  CHECK(with.write(0xe8, 2, 0x1) == op_error::success);
  CHECK(with.port.get(0xe8, 2) == 1);
  with.space.set_policy({.permissive = true});
  CHECK(with.space.mode() == write_mode::all);
  CHECK(with.write(0x104, 4, 0x1) == op_error::success);
  CHECK(with.port.writes().back() == test::hardware_access{true, 0x104, 4, 1});
  with.space.set_policy({});
  CHECK(with.space.mode() == write_mode::strict);
  const auto writes = with.port.writes().size();
  CHECK(with.write(0x104, 4, 0x2) == op_error::success);
  CHECK(with.port.writes().size() == writes);
}

TEST_CASE("registers have the specification's names") {
  const auto function = test::e1000e();
  CHECK(pci::register_name(function, 0x04) == "COMMAND");
  CHECK(pci::register_name(function, 0x2e) == "SUBSYSTEM");
  CHECK(pci::register_name(function, 0x13).empty());
  CHECK(pci::register_name(function, 0x50).empty()); // before the first capability
  CHECK(pci::register_name(function, 0xe8) == "Express+8 (Device Control)");
  CHECK(pci::register_name(function, 0xcc) == "PM+4 (PMCSR)");
  CHECK(pci::register_name(function, 0xa2) == "MSI-X+2 (Message Control)");
  CHECK(pci::register_name(function, 0xeb) == "Express+b");
  CHECK(pci::register_name(function, 0x104) == "AER+4 (Uncorrectable Error Status)");
  CHECK(pci::register_name(function, 0x148) == "Serial Number+8");
  CHECK(pci::register_name(test::bridge(), 0x3e) == "BRIDGE_CONTROL");
  CHECK(pci::register_name(test::bridge(), 0x18) == "PRIMARY_BUS");
  auto odd = test::e1000e();
  test::put(odd, 0x100, 4, 0x00010077);
  CHECK(pci::register_name(odd, 0x110) == "Capability 77+10");
}
