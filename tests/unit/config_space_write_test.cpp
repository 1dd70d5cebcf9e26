// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <cstdint>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/power.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/space.hpp"
#include "unit/fake_port.hpp"
#include "unit/sample_functions.hpp"

using pci::access;
using pci::op_error;
using test::fake_port;
using test::hardware_access;
using writes = std::vector<hardware_access>;

namespace {

struct bench {
  explicit bench(const pci::function& function, const pci::policy& policy = {})
      : port(function), space(pci::space::build(function, policy).value()) {}
  std::uint32_t read(std::int32_t offset, std::int32_t size) { return space.read(port, offset, size).value; }
  op_error write(std::int32_t offset, std::int32_t size, std::uint32_t value) {
    const access done = space.write(port, offset, size, value);
    CHECK(done.value == value); // unchanged
    return done.error;
  }
  fake_port port;
  pci::space space;
};

} // namespace

TEST_CASE("XSA-124, XSA-131: by default a write reaches only the registers of the tables") {
  for (const auto& function : {test::e1000e(), test::nvme(), test::legacy_card(), test::bridge()}) {
    bench with{function};
    for (std::int32_t size : {1, 2, 4})
      for (std::int32_t offset = 0; offset < static_cast<std::int32_t>(function.config_size()); offset += size)
        for (const std::uint32_t value : {0U, 0xffffffffU, 0x55aa55aaU})
          (void)with.write(offset, size, value);
    for (std::int32_t size : {1, 2, 4}) // each bit by itself, the others as they are
      for (std::int32_t offset = 0; offset < static_cast<std::int32_t>(function.config_size()); offset += size)
        for (unsigned bit = 0; bit < 8U * static_cast<unsigned>(size); ++bit)
          (void)with.write(offset, size, with.read(offset, size) ^ (1U << bit));
    std::set<unsigned> allowed{0x04, 0x06, 0x0c, 0x0f};
    if (!pci::find_capability(function, pci::reg::cap_express))
      allowed.insert(0x0d); // the latency timer of a conventional bus master
    for (const auto& each : with.space.fields())
      if (each.write == pci::writing::pmcsr || each.write == pci::writing::vpd_address)
        allowed.insert(each.offset);
    std::set<unsigned> reached;
    for (const auto& each : with.port.writes())
      reached.insert(each.offset);
    for (const unsigned each : reached)
      CHECK(allowed.contains(each));
    CHECK(reached.contains(0x04));
    CHECK(reached.contains(0x06));
    CHECK(with.port.get(0x06, 2) == (function.copy(0x06, 2) & 0x07ff));
  }
}

TEST_CASE("fields without a rule for writing accept and do nothing, even when permissive") {
  bench with{test::legacy_card(), {.permissive = true}};
  for (const std::int32_t offset : {0x00, 0x01, 0x02, 0x0d, 0x3c, 0x3d, 0x50, 0x54, 0x57, 0x60, 0x62, 0x66, 0x67})
    CHECK(with.write(offset, 1, 0xff) == op_error::success);
  CHECK(with.write(0x54, 4, 0xffffffff) == op_error::success);
  CHECK(with.port.writes().empty());
  CHECK(!with.space.take_dropped_write_warning());
}

TEST_CASE("the cache line size is the guest's, as one byte") {
  bench with{test::e1000e()};
  CHECK(with.write(0x0c, 1, 0x10) == op_error::success);
  CHECK(with.port.accesses == writes{{true, 0x0c, 1, 0x10}});
  with.port.accesses.clear();
  CHECK(with.write(0x0c, 4, 0x0000ff08) == op_error::success); // the latency timer beside it is not
  CHECK(with.port.writes() == writes{{true, 0x0c, 1, 0x08}});
}

TEST_CASE("status: ones clear the error bits, in the bytes that were written") {
  bench with{test::e1000e()};
  with.port.set(0x06, 2, 0xf910);
  CHECK(with.write(0x06, 2, 0x8010) == op_error::success);
  CHECK(with.port.get(0x06, 2) == 0x7910);
  CHECK(with.write(0x07, 1, 0x41) == op_error::success);
  CHECK(with.port.get(0x06, 2) == 0x3810);
  with.port.accesses.clear();
  CHECK(with.write(0x06, 1, 0xff) == op_error::success); // nothing to clear in the low byte
  CHECK(with.write(0x06, 2, 0x06ff) == op_error::success);
  CHECK(with.port.accesses.empty());
  CHECK(with.write(0x06, 2, 0xffff) == op_error::success);
  CHECK(with.port.accesses == writes{{true, 0x06, 2, 0xf900}});
  CHECK(with.port.get(0x06, 2) == 0x0010);
}

TEST_CASE("a 32-bit write at COMMAND, as NetBSD does it, leaves STATUS alone") {
  for (const bool permissive : {false, true}) {
    bench with{test::e1000e(), {.permissive = permissive}};
    with.port.set(0x06, 2, 0xf910);
    const std::uint32_t before = with.read(0x04, 4);
    CHECK(before == 0xf9100107);
    CHECK(with.write(0x04, 4, before | 0x7) == op_error::success);
    CHECK(with.port.get(0x06, 2) == 0xf910);
    CHECK(with.space.decoding());
  }
}

TEST_CASE("BIST: the start bit, or nothing new") {
  bench with{test::legacy_card()};
  CHECK(with.write(0x0f, 1, 0xc0) == op_error::success); // start, the rest as it is
  CHECK(with.port.writes() == writes{{true, 0x0f, 1, 0xc0}});
  with.port.accesses.clear();
  CHECK(with.write(0x0f, 1, 0x40) == op_error::success);
  CHECK(with.port.writes() == writes{{true, 0x0f, 1, 0x40}});
  with.port.accesses.clear();
  CHECK(with.write(0x0f, 1, 0x41) == op_error::success);
  CHECK(with.write(0x0f, 1, 0x00) == op_error::success);
  CHECK(with.write(0x0f, 1, with.read(0x0f, 1)) == op_error::success);
  CHECK(with.port.writes().empty());
  CHECK(with.write(0x0f, 1, 0x80) == op_error::success); // the start bit off again
  CHECK(with.port.get(0x0f, 1) == 0x80);
  with.port.accesses.clear();
  with.port.fail_writes(EIO);
  CHECK(with.write(0x0f, 1, 0x40) == op_error::op_failed);
  with.port.fail_reads(EIO);
  CHECK(with.write(0x0f, 1, 0x40) == op_error::op_failed);
}

TEST_CASE("VPD is read, never written") {
  bench with{test::legacy_card()};
  CHECK(with.write(0x52, 2, 0x0010) == op_error::success);
  CHECK(with.port.writes() == writes{{true, 0x52, 2, 0x0010}});
  CHECK(with.write(0x52, 2, 0x8010) == op_error::access_denied);
  CHECK(with.write(0x50, 4, 0x80100000) == op_error::access_denied); // the refusal is not hidden by its neighbour
  CHECK(with.write(0x53, 1, 0x80) == op_error::access_denied);
  CHECK(with.write(0x50, 4, 0x00200000) == op_error::success);
  CHECK(with.port.writes().size() == 2);
  CHECK(with.port.writes().back() == hardware_access{true, 0x52, 2, 0x0020});
  with.port.fail_writes(ENODEV);
  CHECK(with.write(0x52, 2, 0) == op_error::dev_not_found);
}

TEST_CASE("power states: which can be reached") {
  constexpr std::uint16_t none = 0, both = 0x0600;
  for (unsigned from = 0; from < 4; ++from) {
    CHECK(pci::power::reachable(from, 0, none));
    CHECK(pci::power::reachable(from, 3, none));
    CHECK(!pci::power::reachable(from, 1, none));
    CHECK(!pci::power::reachable(from, 2, none));
    CHECK(pci::power::reachable(from, 1, both) == (from <= 1));
    CHECK(pci::power::reachable(from, 2, both) == (from <= 2));
  }
  CHECK(pci::power::reachable(0, 1, 0x0200));
  CHECK(!pci::power::reachable(0, 2, 0x0200));
  CHECK(pci::power::reachable(0, 2, 0x0400));
}

TEST_CASE("PMCSR: state and data selection are the guest's, PME_En is nobody's") {
  bench with{test::e1000e()};
  with.port.allow(0xcc, 2, 0x1f03);
  CHECK(with.write(0xcc, 2, 0x0003) == op_error::success);
  CHECK(with.port.writes() == writes{{true, 0xcc, 2, 0x2003}}); // Data_Scale is written as it is
  CHECK(with.read(0xcc, 2) == 0x2003);
  CHECK(with.write(0xcc, 2, 0xff00) == op_error::success);
  CHECK(with.port.get(0xcc, 2) == 0x3e00);
  with.port.set(0xcc, 2, 0x2100); // switched on by others: off with the next write
  CHECK(with.write(0xcc, 2, 0x0100) == op_error::success);
  CHECK(with.port.get(0xcc, 2) == 0x2000);
  with.port.accesses.clear();
  CHECK(with.write(0xcc, 2, 0x0000) == op_error::success);
  CHECK(with.port.writes().empty());
}

TEST_CASE("PMCSR: a state that the function has not is denied, the rest of the write is done") {
  bench with{test::e1000e()};
  with.port.allow(0xcc, 2, 0x1f03);
  CHECK(with.write(0xcc, 2, 0x0001) == op_error::access_denied);
  CHECK(with.port.writes().empty());
  CHECK(with.write(0xcc, 2, 0x0202) == op_error::access_denied);
  CHECK(with.port.get(0xcc, 2) == 0x2200);
  bench card{test::legacy_card()};
  card.port.allow(0x64, 2, 0x1f03);
  CHECK(card.write(0x64, 2, 0x0001) == op_error::success);
  CHECK(card.write(0x64, 2, 0x0003) == op_error::success);
  CHECK(card.write(0x64, 2, 0x0002) == op_error::access_denied); // out of D3 only to D0
  CHECK(card.port.get(0x64, 2) == 0x8003 + 0x8);
  CHECK(card.write(0x64, 2, 0x0000) == op_error::success);
}

TEST_CASE("PME_Status is cleared by writing 1, and by nothing else") {
  bench with{test::legacy_card()};
  with.port.allow(0x64, 2, 0x1f03);
  with.port.clear_on_one(0x64, 2, 0x8000);
  CHECK(with.write(0x64, 2, 0x0003) == op_error::success);
  CHECK(with.port.get(0x64, 2) == 0x800b);
  CHECK(with.write(0x64, 2, 0x8003) == op_error::success);
  CHECK(with.port.get(0x64, 2) == 0x000b);
  with.port.accesses.clear();
  CHECK(with.write(0x64, 2, 0x8003) == op_error::success); // already clear
  CHECK(with.port.writes().empty());
}

TEST_CASE("PMCSR: 32 bits at once, failures, and a function that does not answer") {
  bench with{test::e1000e()};
  with.port.allow(0xcc, 2, 0x1f03);
  CHECK(with.write(0xcc, 4, 0xffff0003) == op_error::success);
  CHECK(with.port.writes() == writes{{true, 0xcc, 2, 0x2003}});
  CHECK(with.write(0xcc, 4, 0xffff0001) == op_error::access_denied);
  with.port.fail_writes(EIO);
  CHECK(with.write(0xcc, 2, 0x0000) == op_error::op_failed);
  with.port.fail_writes(0);
  with.port.set(0xcc, 2, 0xffff);
  CHECK(with.write(0xcc, 2, 0x0000) == op_error::dev_not_found);
  with.port.fail_reads(EIO);
  CHECK(with.write(0xcc, 2, 0x0000) == op_error::op_failed);
}

TEST_CASE("when a function is held, PME_En goes off and PME_Status stays") {
  bench with{test::legacy_card()};
  with.port.allow(0x64, 2, 0x1f03);
  with.port.clear_on_one(0x64, 2, 0x8000);
  CHECK(with.space.prepare(with.port));
  CHECK(with.port.writes().empty());
  with.port.set(0x64, 2, 0x8108);
  CHECK(with.space.prepare(with.port));
  CHECK(with.port.get(0x64, 2) == 0x8008);
  with.port.set(0x64, 2, 0xffff);
  with.port.accesses.clear();
  CHECK(with.space.prepare(with.port));
  CHECK(with.port.writes().empty());
  with.port.set(0x64, 2, 0x0100);
  with.port.fail_writes(EIO);
  CHECK(with.space.prepare(with.port).error().error == EIO);
  with.port.fail_reads(EPERM);
  CHECK(with.space.prepare(with.port).error().error == EPERM);
  bench bridge{test::bridge()}; // no PM
  CHECK(bridge.space.prepare(bridge.port));
  CHECK(bridge.port.accesses.empty());
}

TEST_CASE("MSI and MSI-X control: what is there already is accepted, all else is denied") {
  bench with{test::e1000e()};
  CHECK(with.write(0xd2, 2, 0x0080) == op_error::success);
  CHECK(with.write(0xd2, 2, 0x0081) == op_error::access_denied);
  CHECK(with.write(0xd0, 4, 0x00810000) == op_error::access_denied);
  CHECK(with.write(0xd0, 4, 0x00800000) == op_error::success);
  CHECK(with.write(0xd2, 1, 0x81) == op_error::access_denied);
  CHECK(with.write(0xd3, 1, 0x00) == op_error::success);
  CHECK(with.write(0xa2, 2, 0x0004) == op_error::success);
  CHECK(with.write(0xa2, 2, 0xc004) == op_error::access_denied);
  CHECK(with.write(0xa3, 1, 0x80) == op_error::access_denied);
  with.port.set(0xa2, 2, 0x8004); // the daemon has enabled it
  CHECK(with.write(0xa2, 2, 0x8004) == op_error::success);
  CHECK(with.write(0xa2, 2, 0x0004) == op_error::access_denied);
  CHECK(with.port.writes().empty());
}

TEST_CASE("with interrupt control: the allowed bits, one kind at a time") {
  bench with{test::e1000e(), {.allow_interrupt_control = true}};
  with.port.allow(0xd2, 2, 0x0071);
  with.port.allow(0xa2, 2, 0xc000);
  CHECK(with.write(0xd2, 2, 0x0090) == op_error::access_denied); // a bit that is not the guest's
  CHECK(with.write(0xd2, 2, 0x0091) == op_error::access_denied);
  CHECK(with.write(0xd2, 2, 0x0081) == op_error::success);
  CHECK(with.port.writes() == writes{{true, 0xd2, 2, 0x0081}});
  CHECK(with.write(0xa2, 2, 0x8004) == op_error::access_denied); // MSI is on in hardware, by the guest's own hand
  CHECK(with.write(0xa2, 2, 0x4004) == op_error::success);       // masking enables nothing
  CHECK(with.write(0xd2, 2, 0x0080) == op_error::success);
  CHECK(with.write(0xa2, 2, 0xc004) == op_error::success);
  CHECK(with.write(0xa2, 2, 0x8004) == op_error::success);
  CHECK(with.write(0xd2, 2, 0x0081) == op_error::access_denied);
  CHECK(with.write(0xa2, 2, 0x8005) == op_error::access_denied);
  CHECK(with.write(0xa2, 2, 0x0004) == op_error::success);
}

TEST_CASE("with interrupt control: what the daemon has enabled counts as well") {
  bench with{test::e1000e(), {.allow_interrupt_control = true}};
  with.port.allow(0xd2, 2, 0x0001);
  with.port.allow(0xa2, 2, 0xc000);
  with.space.set_interrupt_mode(pci::interrupt_mode::msix);
  CHECK(with.write(0xd2, 2, 0x0081) == op_error::access_denied);
  CHECK(with.write(0xa2, 2, 0x8004) == op_error::success);
  CHECK(with.write(0xa2, 2, 0x0004) == op_error::success);
  with.space.set_interrupt_mode(pci::interrupt_mode::msi);
  CHECK(with.write(0xa2, 2, 0x8004) == op_error::access_denied);
  CHECK(with.write(0xd2, 2, 0x0081) == op_error::success);
}

TEST_CASE("with interrupt control: a function of one kind only, and failures") {
  bench with{test::nvme(), {.allow_interrupt_control = true}};
  with.port.allow(0x42, 2, 0xc000);
  CHECK(with.write(0x42, 2, 0x8040) == op_error::success);
  with.port.fail_writes(EIO);
  CHECK(with.write(0x42, 2, 0x0040) == op_error::op_failed);
  with.port.fail_reads(EIO);
  CHECK(with.write(0x42, 2, 0x0040) == op_error::op_failed);
  bench card{test::e1000e(), {.allow_interrupt_control = true}};
  card.port.fail_after(1, EIO); // the look at the other capability
  CHECK(card.write(0xd2, 2, 0x0081) == op_error::op_failed);
  CHECK(card.port.writes().empty());
}

TEST_CASE("permissive: control registers raw, still as 16 bits") {
  bench with{test::e1000e(), {.permissive = true}};
  CHECK(with.write(0xd0, 4, 0x00f1ffff) == op_error::success);
  CHECK(with.port.writes() == writes{{true, 0xd2, 2, 0x00f1}});
  CHECK(with.write(0xa3, 1, 0xc0) == op_error::success);
  CHECK(with.port.writes().back() == hardware_access{true, 0xa2, 2, 0xc004});
  with.port.fail_writes(EIO);
  CHECK(with.write(0xa2, 2, 0) == op_error::op_failed);
}

TEST_CASE("a merge that cannot be read is reported and nothing is written") {
  bench with{test::e1000e()};
  with.port.fail_reads(ENODEV);
  CHECK(with.write(0xcc, 1, 0) == op_error::dev_not_found);
  CHECK(with.write(0xd2, 2, 0) == op_error::dev_not_found);
  CHECK(with.port.writes().empty());
}

TEST_CASE("of several fields the first failure is the answer, and the others are still written") {
  bench with{test::e1000e()};
  with.port.fail_after(1, EIO); // the cache line's write is done, BIST's read fails
  CHECK(with.write(0x0c, 4, 0x00000010) == op_error::op_failed);
  CHECK(with.port.get(0x0c, 1) == 0x10);
  bench card{test::legacy_card()};
  card.port.fail_writes(EIO);
  CHECK(card.write(0x0c, 4, 0xc0000010) == op_error::op_failed);
  CHECK(card.port.writes() == writes{{true, 0x0c, 1, 0x10}, {true, 0x0f, 1, 0xc0}});
}
