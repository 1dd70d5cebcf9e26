// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include "pci/config_space/command.hpp"
#include "pci/config_space/restore.hpp"
#include "pci/config_space/space.hpp"
#include "unit/fake_port.hpp"
#include "unit/sample_functions.hpp"

using pci::access;
using pci::op_error;
using test::fake_port;
using test::hardware_access;
using writes = std::vector<hardware_access>;

namespace {

/// A network card with its hardware's COMMAND as after a scrub: 0 but for SERR and PARITY.
struct bench {
  explicit bench(const pci::policy& policy = {}, const pci::function& function = test::e1000e())
      : port(function), space(pci::space::build(function, policy).value()) {
    port.set(0x04, 2, 0x0140);
  }
  op_error command(std::uint32_t value) { return space.write(port, 0x04, 2, value).error; }
  [[nodiscard]] std::uint32_t hardware() const { return port.get(0x04, 2); }
  std::uint32_t seen() { return space.read(port, 0x04, 2).value; }
  fake_port port;
  pci::space space;
};

} // namespace

TEST_CASE("a new guest finds COMMAND as it was when the function was held, less INTX_DISABLE") {
  bench with;
  CHECK(with.seen() == 0x0103); // MASTER is the hardware's
  CHECK(!with.space.decoding());
  CHECK(bench({}, test::nvme()).seen() == 0x0002);
  CHECK(bench({}, test::virtual_function()).seen() == 0x0000);
}

TEST_CASE("either decode bit enables the function: all the decoding that its resources need") {
  for (const std::uint32_t value : {0x1U, 0x2U, 0x3U}) {
    bench with;
    CHECK(with.command(value) == op_error::success);
    CHECK(with.space.decoding());
    CHECK(with.port.writes() == writes{{true, 0x04, 2, 0x0143}});
    CHECK(with.seen() == value); // as the guest wrote it
  }
  bench disk({}, test::nvme());
  CHECK(disk.command(0x1) == op_error::success);
  CHECK(disk.hardware() == 0x0142); // it has no ports
}

TEST_CASE("XSA-120: decoding is never switched off, whatever a guest writes") {
  for (const bool permissive : {false, true}) {
    bench with({.permissive = permissive, .allow_interrupt_control = true});
    CHECK(with.command(0x0007) == op_error::success);
    CHECK(with.hardware() == 0x0147);
    CHECK(with.command(0x0000) == op_error::success);
    CHECK(with.hardware() == 0x0143);
    CHECK(with.seen() == 0x0000);
    CHECK(!with.space.decoding());
  }
}

TEST_CASE("MASTER follows the guest, with decoding or without") {
  bench with;
  CHECK(with.command(0x0004) == op_error::success);
  CHECK(with.hardware() == 0x0144);
  CHECK(!with.space.decoding());
  CHECK(with.command(0x0006) == op_error::success);
  CHECK(with.command(0x0002) == op_error::success);
  CHECK(with.hardware() == 0x0143);
  CHECK(with.seen() == 0x0002);
}

TEST_CASE("enabling again restores decoding that a reset has lost") {
  bench with;
  CHECK(with.command(0x0006) == op_error::success);
  with.port.set(0x04, 2, 0);
  CHECK(with.command(0x0006) == op_error::success);
  CHECK(with.hardware() == 0x0007);
}

TEST_CASE("nothing is written when the hardware is as it should be") {
  bench with;
  CHECK(with.command(0x0006) == op_error::success);
  with.port.accesses.clear();
  CHECK(with.command(0x0002 | 0x0004 | 0x0400) == op_error::success);
  CHECK(with.port.writes().empty());
  CHECK(with.seen() == 0x0406);
}

TEST_CASE("a write of any value changes in hardware exactly what the rules say") {
  for (const bool permissive : {false, true})
    for (const bool control : {false, true}) {
      unsigned wrong = 0;
      for (unsigned hardware = 0; hardware <= 0x7ff; hardware += 0x25)
        for (unsigned shadow = 0; shadow <= 0xffff; shadow += 0x1ff)
          for (unsigned written = 0; written <= 0xffff; written += 0x35) {
            const unsigned next =
                pci::command::hardware_value(static_cast<std::uint16_t>(hardware), static_cast<std::uint16_t>(shadow),
                                             static_cast<std::uint16_t>(written), {0x3, permissive, control});
            unsigned expected = hardware & 0x0543; // kept: IO, MEMORY, PARITY, SERR, INTX_DISABLE
            expected |= (permissive ? written : hardware) & 0x02a8;
            expected |= written & 0x0014;
            if ((written & 0x3) != 0)
              expected |= 0x3;
            if (control && ((shadow ^ written) & 0x400) != 0)
              expected = (expected & ~0x400U) | (written & 0x400);
            wrong += next != expected;
          }
      CHECK(wrong == 0);
    }
}

TEST_CASE("all 16 bits are kept for the guest, the guest-controllable ones apart") {
  bench with;
  unsigned wrong = 0;
  for (std::uint32_t value = 0; value <= 0xffff; value += 0x0f) {
    REQUIRE(with.command(value) == op_error::success);
    wrong += with.seen() != ((value & 0xfd43) | (with.hardware() & 0x02bc));
    wrong += (with.hardware() & 0x0540) != 0x0140;
  }
  CHECK(wrong == 0);
}

TEST_CASE("INTX_DISABLE is the daemon's: preserved in hardware, virtual for the guest") {
  bench with;
  CHECK(with.command(0x0402) == op_error::success);
  CHECK(with.hardware() == 0x0143);
  CHECK(with.seen() == 0x0402);
  with.port.set(0x04, 2, 0x0543); // the daemon masks the line
  CHECK(with.command(0x0006) == op_error::success);
  CHECK(with.hardware() == 0x0547);
  CHECK(with.seen() == 0x0006);
}

TEST_CASE("with interrupt control a guest that turns INTX_DISABLE over moves the hardware's") {
  bench with({.allow_interrupt_control = true});
  CHECK(with.command(0x0402) == op_error::success);
  CHECK(with.hardware() == 0x0543);
  CHECK(with.command(0x0406) == op_error::success);
  CHECK(with.hardware() == 0x0547);
  CHECK(with.command(0x0006) == op_error::success);
  CHECK(with.hardware() == 0x0147);
  with.port.set(0x04, 2, 0x0547); // set by the daemon; the guest does not turn it over
  CHECK(with.command(0x0002) == op_error::success);
  CHECK(with.hardware() == 0x0543);
}

TEST_CASE("XSA-59: permissive: the guest's bits reach the hardware, PARITY and SERR do not") {
  bench with({.permissive = true});
  with.port.set(0x0c, 1, 16);
  CHECK(with.command(0xffff) == op_error::success);
  CHECK(with.hardware() == 0x03ff); // PARITY and SERR were set before
  with.port.set(0x04, 2, 0);
  CHECK(with.command(0xffff) == op_error::success);
  CHECK(with.hardware() == 0x02bf);
}

TEST_CASE("memory write and invalidate needs a cache line size") {
  bench with;
  SUBCASE("the guest has set one") {
    with.port.set(0x0c, 1, 8);
    CHECK(with.command(0x0010) == op_error::success);
    CHECK(with.port.get(0x0c, 1) == 8);
    CHECK(with.hardware() == 0x0150);
  }
  SUBCASE("it has none: the processor's") {
    CHECK(with.command(0x0010) == op_error::success);
    CHECK(with.port.get(0x0c, 1) == 16);
    CHECK(with.hardware() == 0x0150);
    CHECK(with.command(0x0000) == op_error::success);
    CHECK(with.hardware() == 0x0140);
  }
  SUBCASE("the register does not take it") {
    with.port.allow(0x0c, 1, 0);
    CHECK(with.command(0x0012) == op_error::success);
    CHECK(with.hardware() == 0x0143);
    CHECK(with.seen() == 0x0002);
  }
  SUBCASE("it cannot be read, written, or read again") {
    for (const std::size_t good : {1, 2, 3}) {
      bench failing;
      failing.port.fail_after(good, EIO);
      (void)failing.command(0x0010);
      CHECK(failing.hardware() == 0x0140);
    }
  }
}

TEST_CASE("a failure leaves the shadow, so that the guest sees what it saw") {
  bench with;
  with.port.fail_writes(EIO);
  CHECK(with.command(0x0007) == op_error::op_failed);
  CHECK(with.seen() == 0x0103);
  CHECK(!with.space.decoding());
  with.port.fail_writes(0);
  with.port.fail_reads(ENODEV);
  CHECK(with.command(0x0007) == op_error::dev_not_found);
  CHECK(with.space.state().command == 0x0107);
}

TEST_CASE("a function that does not answer is not written to") {
  bench with;
  with.port.set(0x04, 2, 0xffff);
  CHECK(with.command(0x0007) == op_error::dev_not_found);
  CHECK(with.port.writes().empty());
  CHECK(with.space.state().command == 0x0107);
}

TEST_CASE("a virtual function's decoding is its physical function's; the guest sees what it wrote") {
  bench with({}, test::virtual_function());
  with.port.set(0x04, 2, 0);
  CHECK(with.command(0x0002) == op_error::success);
  CHECK(with.port.writes().empty());
  CHECK(with.seen() == 0x0002);
  CHECK(with.space.decoding());
  CHECK(with.command(0x0006) == op_error::success);
  CHECK(with.hardware() == 0x0004);
}

TEST_CASE("a byte of COMMAND is merged with what the guest sees of the other") {
  bench with;
  CHECK(with.command(0x0402) == op_error::success);
  CHECK(with.space.write(with.port, 0x04, 1, 0x06).error == op_error::success);
  CHECK(with.seen() == 0x0406);
  CHECK(with.space.write(with.port, 0x05, 1, 0x00).error == op_error::success);
  CHECK(with.seen() == 0x0006);
  CHECK(with.hardware() == 0x0147);
  with.port.fail_reads(EIO);
  CHECK(with.space.write(with.port, 0x05, 1, 0x04).error == op_error::op_failed);
  CHECK(with.space.state().command == 0x0006);
}

TEST_CASE("a guest that sizes BARs as Linux does: decoding off, on again") {
  bench with;
  const std::uint32_t before = with.seen();
  CHECK(with.command(before & ~0x3U) == op_error::success);
  CHECK(with.space.write(with.port, 0x10, 4, 0xffffffff).error == op_error::success);
  CHECK(with.space.read(with.port, 0x10, 4).value == 0xfffe0000);
  CHECK(with.space.write(with.port, 0x10, 4, 0xfeb80000).error == op_error::success);
  CHECK(with.command(before) == op_error::success);
  CHECK(with.space.decoding());
  CHECK(with.hardware() == 0x0143);
  CHECK(with.seen() == before);
}

TEST_CASE("a resource without an address, and a ROM, need no decoding") {
  auto function = test::e1000e();
  for (auto& each : function.resources)
    each.flags |= pci::resource::unset;
  function.resources[6].flags = 0x46200;
  bench with({}, function);
  CHECK(with.command(0x0003) == op_error::success);
  CHECK(with.port.writes().empty());
}

TEST_CASE("after a reset COMMAND gets what the guest has set there, and nothing else is written") {
  bench with;
  REQUIRE(with.command(0x0106) == op_error::success);
  const auto before = with.hardware();
  with.port.set(0x04, 2, 0x0140); // as `restore` leaves it
  REQUIRE(with.space.renew_command(with.port));
  CHECK(with.hardware() == before);
  const auto written = with.port.writes().size();
  REQUIRE(with.space.renew_command(with.port));
  CHECK(with.port.writes().size() == written);

  auto function = test::e1000e();
  pci::make_reference(function);
  bench quiet({}, function); // whose guest has set nothing
  quiet.port.set(0x04, 2, 0x0142);
  REQUIRE(quiet.space.renew_command(quiet.port));
  CHECK((quiet.hardware() & 0x0004) == 0);
}

TEST_CASE("a COMMAND that cannot be read or written after a reset is told") {
  for (const std::size_t working : {0U, 1U}) {
    bench with;
    REQUIRE(with.command(0x0106) == op_error::success);
    with.port.set(0x04, 2, 0x0140);
    with.port.fail_after(working, EIO);
    const auto done = with.space.renew_command(with.port);
    REQUIRE_FALSE(done);
    CHECK(done.error().error == EIO);
  }
}

TEST_CASE("a conventional function that becomes a bus master gets time on the bus, as from the kernel; no other does") {
  for (const auto& [latency, wanted] : {std::pair{0x00U, 0x40U}, {0x0fU, 0x40U}, {0x10U, 0x10U}, {0xf8U, 0xf8U}}) {
    CAPTURE(latency);
    auto function = test::legacy_card();
    test::put(function, 0x0d, 1, latency);
    test::fake_port port{function};
    auto space = pci::space::build(function, {}).value();
    CHECK(space.write(port, 0x04, 2, 0x0003).error == pci::op_error::success);
    CHECK(port.get(0x0d, 1) == latency); // not a master yet
    CHECK(space.write(port, 0x04, 2, 0x0007).error == pci::op_error::success);
    CHECK(port.get(0x0d, 1) == wanted);
    CHECK(port.get(0x0c, 1) == function.copy(0x0c, 1));
  }
  // Whatever else the guest asks for with it, that register gets no other value.
  auto bridge = test::bridge();
  test::fake_port below{bridge};
  auto its = pci::space::build(bridge, {}).value();
  CHECK(its.write(below, 0x04, 2, 0x271d).error == pci::op_error::success);
  CHECK(below.writes() ==
        std::vector<test::hardware_access>{{true, 0x0c, 1, 0x10}, {true, 0x04, 2, 0x0116}, {true, 0x0d, 1, 0x40}});
  auto express = test::e1000e();
  test::put(express, 0x04, 2, 0x0103);
  test::fake_port port{express};
  auto space = pci::space::build(express, {}).value();
  CHECK(space.write(port, 0x04, 2, 0x0007).error == pci::op_error::success);
  CHECK(port.get(0x0d, 1) == 0);
}
