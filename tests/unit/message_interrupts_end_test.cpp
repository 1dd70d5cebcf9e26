// SPDX-License-Identifier: GPL-2.0-or-later
// How messages end, and what is left when a step fails.
#include "message_machine.hpp"

using namespace pci;
using namespace test;

TEST_CASE("end: INTx comes back only when asked for") {
  fixture f;
  REQUIRE(f.operate(ask_msix({0})).error == op_error::success);
  CHECK(f.interrupts.end(f.hardware, f.hardware, false));
  CHECK(f.hardware.intx_off());
  CHECK(f.interrupts.end(f.hardware, f.hardware, true));
  CHECK(!f.hardware.intx_off());
}

TEST_CASE("end: a guest that is gone has no pirqs left to unmap") {
  for (const int error : {ESRCH, EINVAL}) {
    fixture f;
    REQUIRE(f.operate(ask(op_code::enable_msi)).error == op_error::success);
    f.hardware.unmap_error = error;
    f.hardware.fault_at(machine::fault::once, 4); // after two reads and a write for the bits, one for decode
    CHECK(f.interrupts.end(f.hardware, f.hardware, true));
    CHECK(f.interrupts.vectors().empty());
    CHECK(f.hardware.mapped.size() == 1); // the fault did hit the unmap
  }
}

TEST_CASE("end: takes over what an earlier instance of the daemon had mapped") {
  fixture f;
  f.hardware.mapped = {40, 41};
  f.hardware.word(msix_control) |= reg::msix_enable;
  f.interrupts.adopt(interrupt_mode::msix, {{0, 41}, {1, 40}});
  CHECK(f.interrupts.mode() == interrupt_mode::msix);
  CHECK(f.operate(ask(op_code::disable_msix)).error == op_error::success);
  CHECK(f.hardware.mapped.empty());
  CHECK(!f.hardware.msix_on());
}

TEST_CASE("XSA-237: whichever step fails: no pirq is lost, and INTx is as before") {
  struct scenario {
    interrupt_mode before;
    request what;
    std::uint16_t command;
  };
  std::vector<scenario> all;
  for (const auto before : {interrupt_mode::intx, interrupt_mode::msi, interrupt_mode::msix})
    for (const auto& what :
         {ask(op_code::enable_msi), ask_msix({0, 3, 1}), ask(op_code::disable_msi), ask(op_code::disable_msix)})
      for (const std::uint16_t command : std::initializer_list<std::uint16_t>{0, 2, 0x400, 0x402})
        all.push_back({before, what, command});

  const auto prepare = [](fixture& f, const scenario& start) {
    if (start.before == interrupt_mode::msi)
      REQUIRE(f.operate(ask(op_code::enable_msi)).error == op_error::success);
    if (start.before == interrupt_mode::msix)
      REQUIRE(f.operate(ask_msix({1, 2})).error == op_error::success);
    const std::uint16_t own = start.before == interrupt_mode::intx ? 0 : reg::command_intx_disable;
    f.hardware.word(reg::command) = start.command | own;
    f.hardware.take_log();
  };
  const auto count_calls = [&](const scenario& start) {
    fixture f;
    prepare(f, start);
    f.hardware.fault_at(machine::fault::none, 0);
    CHECK(f.operate(start.what).error == op_error::success);
    CHECK(!f.hardware.poisoned);
    return f.hardware.calls;
  };

  int tried = 0;
  for (const auto& start : all)
    for (int call = 0, last = count_calls(start); call < last; ++call)
      for (const auto how : {machine::fault::once, machine::fault::from_there, machine::fault::lying}) {
        ++tried;
        const bool enable = start.what.code == 2 || start.what.code == 4;
        CAPTURE(static_cast<int>(start.before));
        CAPTURE(start.what.code);
        CAPTURE(start.command);
        CAPTURE(call);
        CAPTURE(static_cast<int>(how));
        fixture f;
        prepare(f, start);
        f.hardware.fault_at(how, call);
        const answer given = f.operate(start.what);
        CHECK(f.interrupts.last_failure());
        CHECK(given.error == (enable ? op_error::op_failed : op_error::success));
        CHECK(given.vectors.empty());
        CHECK(f.pirqs() == f.hardware.mapped);

        if (enable && how != machine::fault::from_there) { // the way back had no fault
          CHECK(f.hardware.mapped.empty());
          CHECK(f.interrupts.mode() == interrupt_mode::intx);
          CHECK(!f.hardware.msi_on());
          CHECK(!f.hardware.msix_on());
          const bool before = start.before == interrupt_mode::intx && (start.command & reg::command_intx_disable) != 0;
          CHECK(f.hardware.intx_off() == before);
        }

        // And when the fault is over, end() finishes the work.
        f.hardware.fault_at(machine::fault::none, 0);
        CHECK(f.interrupts.end(f.hardware, f.hardware, true));
        CHECK(f.hardware.mapped.empty());
        CHECK(f.interrupts.vectors().empty());
        CHECK(f.interrupts.mode() == interrupt_mode::intx);
        CHECK(!f.hardware.msi_on());
        CHECK(!f.hardware.msix_on());
        CHECK(!f.hardware.intx_off());
      }
  CHECK(tried > 1000);
}

TEST_CASE("a disable whose unmap fails keeps the pirq, and the next one ends it") {
  fixture f;
  REQUIRE(f.operate(ask(op_code::enable_msi)).error == op_error::success);
  f.hardware.fault_at(machine::fault::once, 4);
  CHECK(f.operate(ask(op_code::disable_msi)).error == op_error::success);
  CHECK(f.interrupts.last_failure() == failure{EBUSY, "unmap"});
  CHECK(f.interrupts.mode() == interrupt_mode::intx);
  CHECK(f.pirqs() == std::set<std::uint16_t>{55});
  CHECK(f.operate(ask(op_code::disable_msi)).error == op_error::success);
  CHECK(!f.interrupts.last_failure());
  CHECK(f.hardware.mapped.empty());
}
