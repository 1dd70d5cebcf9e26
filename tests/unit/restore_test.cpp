// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <string>
#include <tuple>

#include <doctest/doctest.h>

#include "fake_port.hpp"
#include "sample_functions.hpp"

#include "pci/config_space/power.hpp"
#include "pci/config_space/registers.hpp"
#include "pci/config_space/restore.hpp"

namespace {

constexpr unsigned msix_control_e1000e = 0xa2, msi_control_e1000e = 0xd2, pmcsr_e1000e = 0xcc;

/// An e1000e whose control registers can be written as in hardware.
struct scrubbed_card {
  pci::function function = test::e1000e();
  test::fake_port port{function};

  scrubbed_card() {
    pci::make_reference(function);
    port.allow(msix_control_e1000e, 2, 0xc000);
    port.allow(msi_control_e1000e, 2, 0x0071);
    port.allow(pmcsr_e1000e, 2, 0x0103);
    for (unsigned bar = 0x14; bar < 0x28; bar += 4)
      port.allow(bar, 4, 0xffffffff);
    port.allow(0x30, 4, 0xfffff801);
    port.allow(0x3c, 1, 0xff);
    port.allow(0xe8, 2, 0xffff);
    port.allow(0xf0, 2, 0xffff);
  }
};

} // namespace

TEST_CASE("the reference keeps decoding and drops what belongs to a driver") {
  auto function = test::e1000e();
  test::put(function, 0x04, 2, 0x0507);
  test::put(function, msix_control_e1000e, 2, 0xc004);
  test::put(function, msi_control_e1000e, 2, 0x0081);
  pci::make_reference(function);
  CHECK(function.copy(0x04, 2) == 0x0103);
  CHECK(function.copy(msix_control_e1000e, 2) == 0x0004);
  CHECK(function.copy(msi_control_e1000e, 2) == 0x0080);

  auto plain = test::legacy_card(); // neither MSI nor MSI-X
  const auto before = plain.config;
  pci::make_reference(plain);
  CHECK(plain.config == before);
}

TEST_CASE("a virtual function has no line in the reference, even when its register names one") {
  auto function = test::virtual_function();
  test::put(function, 0x3d, 1, 0x01); // as QEMU's has it
  pci::make_reference(function);
  CHECK(function.copy(0x3d, 1) == 0);
  auto physical = test::nvme();
  REQUIRE(physical.copy(0x3d, 1) != 0);
  pci::make_reference(physical);
  CHECK(physical.copy(0x3d, 1) != 0);
}

TEST_CASE("everything that a guest or a reset spoilt reads as in the reference again") {
  scrubbed_card card;
  card.port.set(0x04, 2, 0x0000);
  for (unsigned bar = 0x10; bar < 0x28; bar += 4)
    card.port.set(bar, 4, 0);
  card.port.set(0x0c, 2, 0x2010);
  card.port.set(0x3c, 1, 0x00);
  card.port.set(0xe8, 2, 0x5a5a);
  card.port.set(msix_control_e1000e, 2, 0xc004);
  card.port.set(msi_control_e1000e, 2, 0x0081);
  card.port.set(pmcsr_e1000e, 2, 0x2103);
  REQUIRE(pci::restore(card.function, card.port));
  for (const auto& [offset, width] : {std::pair{0x04U, 2U},
                                      {0x0cU, 2U},
                                      {0x10U, 4U},
                                      {0x14U, 4U},
                                      {0x18U, 4U},
                                      {0x1cU, 4U},
                                      {0x3cU, 1U},
                                      {0xe8U, 2U},
                                      {0xf0U, 2U}})
    CHECK(card.port.get(offset, width) == card.function.copy(offset, width));
  CHECK(card.port.get(pmcsr_e1000e, 2) == 0x2000);
  CHECK(pci::check_quiet(card.function, card.port));
  // COMMAND comes last: nothing is decoded before the BARs are right.
  CHECK(card.port.writes().back().offset == pci::reg::command);
}

TEST_CASE("version 1 of the Express capability ends before what another capability may have in its place") {
  for (const unsigned version : {1U, 2U}) {
    CAPTURE(version);
    auto function = test::nvme();
    test::put(function, 0x82, 2, version);
    test::fake_port port(function);
    for (const unsigned offset : {0x88U, 0xa8U}) {
      port.allow(offset, 2, 0xffff);
      port.set(offset, 2, 0x5a5a);
    }
    REQUIRE(pci::restore(function, port));
    CHECK(port.get(0x88, 2) == function.copy(0x88, 2));
    CHECK(port.get(0xa8, 2) == (version == 1 ? 0x5a5a : function.copy(0xa8, 2)));
  }
}

TEST_CASE("a function is waked once, and only after D3hot it is left alone") {
  scrubbed_card card;
  for (const auto& [state, wait] : {std::pair{3U, true}, {1U, false}, {0U, false}}) {
    CAPTURE(state);
    card.port.set(pmcsr_e1000e, 2, 0x2000 | state);
    const auto writes = card.port.writes().size();
    CHECK(pci::wake(card.function, card.port).value() == wait);
    CHECK(card.port.get(pmcsr_e1000e, 2) == 0x2000);
    CHECK(card.port.writes().size() == writes + (state == 0 ? 0 : 1));
  }
  card.port.fail_reads(EIO);
  CHECK(pci::wake(card.function, card.port).error().error == EIO);
  auto plain = test::legacy_card(); // no power management
  test::fake_port port(plain);
  CHECK_FALSE(pci::wake(plain, port).value());
}

TEST_CASE("a function sleeps that nothing else depends on, and takes its place in D3hot with one write") {
  scrubbed_card card;
  CHECK(pci::may_sleep(card.function));
  CHECK_FALSE(pci::sleeps(card.function, card.port));
  card.port.set(pmcsr_e1000e, 2, 0x2100);
  REQUIRE(pci::put_to_sleep(card.function, card.port));
  CHECK(card.port.get(pmcsr_e1000e, 2) == 0x2003);
  CHECK(card.port.writes().size() == 1);
  CHECK(pci::sleeps(card.function, card.port));
  CHECK(pci::wake(card.function, card.port).value());
  CHECK_FALSE(pci::sleeps(card.function, card.port));
  card.port.set(pmcsr_e1000e, 2, 0xffff); // powered off
  CHECK_FALSE(pci::sleeps(card.function, card.port));
  card.port.fail_reads(EIO);
  CHECK(pci::put_to_sleep(card.function, card.port).error().error == EIO);
  CHECK_FALSE(pci::sleeps(card.function, card.port));

  CHECK_FALSE(pci::may_sleep(test::virtual_function()));
  CHECK_FALSE(pci::may_sleep(test::bridge()));
  auto plain = test::e1000e();
  test::put(plain, 0x34, 1, 0xd0); // no power management
  CHECK_FALSE(pci::may_sleep(plain));
  auto physical = test::e1000e();
  test::put(physical, 0x140, 4, 0x00010010); // SR-IOV
  test::put(physical, 0x100, 4, 0x14020001);
  CHECK_FALSE(pci::may_sleep(physical));
}

TEST_CASE("of what sends a function to sleep nothing but the state and PME changes") {
  for (unsigned value = 0; value <= 0xffff; ++value) {
    const auto next = pci::power::asleep(static_cast<std::uint16_t>(value));
    const bool right = (next & 3) == 3 && (next & 0x8100) == 0 && ((next ^ value) & 0x7efc) == 0;
    if (!right) {
      FAIL(value);
    }
  }
}

TEST_CASE("a function that is as it should be is not written") {
  scrubbed_card card;
  card.port.set(0x04, 2, card.function.copy(0x04, 2));
  REQUIRE(pci::restore(card.function, card.port));
  CHECK(card.port.writes().empty());
}

TEST_CASE("a bridge's windows and a virtual function's BARs are not touched") {
  auto bridge = test::bridge();
  pci::make_reference(bridge);
  test::fake_port port(bridge);
  port.set(0x18, 4, 0x12345678);
  REQUIRE(pci::restore(bridge, port));
  CHECK(port.get(0x18, 4) == 0x12345678);

  auto function = test::virtual_function();
  pci::make_reference(function);
  test::fake_port vf(function);
  vf.set(0x10, 4, 0xffff0000);
  REQUIRE(pci::restore(function, vf));
  CHECK(vf.get(0x10, 4) == 0xffff0000);
}

TEST_CASE("check_quiet reads each register in the hardware, and names the one that is not as it should be") {
  const auto complaint = [](scrubbed_card& card) {
    const auto quiet = pci::check_quiet(card.function, card.port);
    return quiet ? std::string{} : pci::to_string(quiet.error());
  };
  scrubbed_card card;
  card.port.set(0x04, 2, 0x0103);
  CHECK(complaint(card).empty());
  for (const auto& [offset, bad, good, words] :
       {std::tuple{0x04U, 0x0107U, 0x0103U, "COMMAND still reads 0107"},
        {msi_control_e1000e, 0x0081U, 0x0080U, "MSI control still reads 0081"},
        {msix_control_e1000e, 0x8004U, 0x0004U, "MSI-X control still reads 8004"},
        {msix_control_e1000e, 0x4004U, 0x0004U, "MSI-X control still reads 4004"},
        {0x04U, 0xffffU, 0x0103U, "COMMAND reads ffff: the function is silent"}}) {
    CAPTURE(words);
    card.port.set(offset, 2, bad);
    CHECK(complaint(card).find(words) != std::string::npos);
    card.port.set(offset, 2, good);
    CHECK(complaint(card).empty());
  }
  card.port.set(msi_control_e1000e, 2, 0x0081);
  card.port.set(msix_control_e1000e, 2, 0xc004);
  REQUIRE(pci::turn_messages_off(card.function, card.port));
  CHECK(complaint(card).empty());
  const auto plain = test::legacy_card();
  test::fake_port none(plain);
  none.set(0x04, 2, 0x0103);
  CHECK(pci::check_quiet(plain, none));
  CHECK(none.accesses.size() == 1); // it has neither MSI nor MSI-X
}

TEST_CASE("a failure at any access is told, and the rest is tried all the same") {
  scrubbed_card whole;
  whole.port.set(0x04, 2, 0);
  whole.port.set(msix_control_e1000e, 2, 0x8004);
  whole.port.set(msi_control_e1000e, 2, 0x0081);
  REQUIRE(pci::restore(whole.function, whole.port));
  const auto accesses = whole.port.accesses.size();
  for (std::size_t n = 0; n < accesses; ++n) {
    scrubbed_card card;
    card.port.set(0x04, 2, 0);
    card.port.set(msix_control_e1000e, 2, 0x8004);
    card.port.set(msi_control_e1000e, 2, 0x0081);
    card.port.fail_after(n, ENODEV);
    const auto restored = pci::restore(card.function, card.port);
    REQUIRE_FALSE(restored);
    CHECK(restored.error().error == ENODEV);
  }
  for (std::size_t n = 0; n < 3; ++n) {
    scrubbed_card card;
    card.port.set(0x04, 2, 0x0103);
    card.port.fail_after(n, ENODEV);
    CHECK_FALSE(pci::check_quiet(card.function, card.port));
  }
}

// -- was it reset?

TEST_CASE("a reset shows in the decoding and in any BAR, and in nothing that a guest can change") {
  scrubbed_card card;
  card.port.set(0x04, 2, 0x0507); // bus mastering and INTX_DISABLE are the guest's
  card.port.set(msix_control_e1000e, 2, 0xc004);
  CHECK(pci::was_reset(card.function, card.port).value() == false);
  card.port.set(0x04, 2, 0x0000);
  CHECK(pci::was_reset(card.function, card.port).value() == true);
  for (unsigned bar = 0x10; bar < 0x28; bar += 4) {
    scrubbed_card spoilt;
    spoilt.port.set(bar, 4, ~spoilt.function.copy(bar, 4));
    CHECK(pci::was_reset(spoilt.function, spoilt.port).value() == true);
  }
}

TEST_CASE("a bridge has two BARs to be reset, a virtual function none; silence is a reset of any") {
  const auto bridge = test::bridge();
  test::fake_port above(bridge);
  CHECK(pci::was_reset(bridge, above).value() == false);
  above.set(0x18, 4, ~bridge.copy(0x18, 4)); // its bus numbers
  CHECK(pci::was_reset(bridge, above).value() == false);
  above.set(0x14, 4, ~bridge.copy(0x14, 4));
  CHECK(pci::was_reset(bridge, above).value() == true);

  const auto child = test::virtual_function();
  test::fake_port port(child);
  port.set(0x04, 2, 0x0000);
  port.set(0x10, 4, 0x12340000);
  CHECK(pci::was_reset(child, port).value() == false);
  for (const auto* function : {&bridge, &child}) {
    test::fake_port silent(*function);
    silent.set(0x06, 2, 0xffff);
    CHECK(pci::was_reset(*function, silent).value() == true);
  }
}

TEST_CASE("whether a function was reset is not known while it cannot be read") {
  scrubbed_card card;
  REQUIRE(pci::was_reset(card.function, card.port));
  const auto all = card.port.accesses.size();
  REQUIRE(all == 8);
  for (std::size_t working = 0; working < all; ++working) {
    card.port.fail_after(working, EIO);
    const auto answer = pci::was_reset(card.function, card.port);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().error == EIO);
  }
}
