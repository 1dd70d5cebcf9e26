// SPDX-License-Identifier: GPL-2.0-or-later
#include "message_machine.hpp"

#include <numeric>

using namespace pci;
using namespace test;

TEST_CASE("MSI: mapped, INTx off, enabled; and back in the opposite order") {
  fixture f;
  CHECK(f.operate(ask(op_code::enable_msi)) == answer{op_error::success, 55, {}});
  CHECK(f.hardware.take_log() == lines{"map msi -> 55", "04=0406", "52=0081"});
  CHECK(f.interrupts.mode() == interrupt_mode::msi);
  CHECK(f.pirqs() == std::set<std::uint16_t>{55});
  CHECK(f.operate(ask(op_code::disable_msi)) == answer{op_error::success, 23, {}});
  CHECK(f.hardware.take_log() == lines{"52=0080", "unmap 55", "04=0006"});
  CHECK(f.interrupts.mode() == interrupt_mode::intx);
  CHECK(f.interrupts.vectors().empty());
  CHECK(!f.interrupts.last_failure());
}

TEST_CASE("MSI: the guest's memory decode does not matter") {
  fixture f;
  f.hardware.word(reg::command) = 0;
  CHECK(f.operate(ask(op_code::enable_msi), false).error == op_error::success);
  CHECK(f.hardware.take_log() == lines{"map msi -> 55", "04=0400", "52=0081"});
}

TEST_CASE("MSI-X: each entry mapped, INTx off, enabled and unmasked; and back") {
  fixture f;
  f.hardware.word(msix_control) |= reg::msix_mask_all;
  CHECK(f.operate(ask_msix({2, 0, 4})) == answer{op_error::success, 0, {55, 54, 53}});
  CHECK(f.hardware.take_log() ==
        lines{"map msix 2 -> 55", "map msix 0 -> 54", "map msix 4 -> 53", "04=0406", "72=8004"});
  CHECK(f.interrupts.mode() == interrupt_mode::msix);
  CHECK(f.interrupts.vectors()[1] == bound_vector{0, 54});
  CHECK(f.operate(ask(op_code::disable_msix)) == answer{op_error::success, 23, {}});
  CHECK(f.hardware.take_log() == lines{"72=0004", "unmap 55", "unmap 54", "unmap 53", "04=0006"});
}

TEST_CASE("MSI-X: memory decode is on around map and unmap") {
  fixture f;
  f.hardware.word(reg::command) = reg::command_master;
  CHECK(f.operate(ask_msix({0})).error == op_error::success);
  CHECK(f.hardware.take_log() ==
        lines{"04=0006", "map msix 0 -> 55", "04=0406", "72=8004"}); // and stays, as the guest has it
  f.hardware.word(reg::command) = 0;
  CHECK(f.operate(ask(op_code::disable_msix)).error == op_error::success);
  CHECK(f.hardware.take_log() == lines{"72=0004", "04=0002", "unmap 55", "04=0000"});
  CHECK(!f.hardware.poisoned);
}

TEST_CASE("a disable of either kind ends whichever is on; with nothing on it touches nothing") {
  for (const auto how : {op_code::disable_msi, op_code::disable_msix}) {
    fixture f;
    REQUIRE(f.operate(ask_msix({0, 1})).error == op_error::success);
    CHECK(f.operate(ask(how)) == answer{op_error::success, 23, {}});
    REQUIRE(f.operate(ask(op_code::enable_msi)).error == op_error::success);
    CHECK(f.operate(ask(how)) == answer{op_error::success, 23, {}});
    CHECK(f.hardware.mapped.empty());
    f.hardware.take_log();
    f.hardware.calls = 0;
    CHECK(f.operate(ask(how)) == answer{op_error::success, 23, {}});
    CHECK(f.hardware.calls == 0);
  }
}

TEST_CASE("the NVMe driver's way: one vector, given back as MSI, then two") {
  fixture f;
  CHECK(f.operate(ask_msix({0})) == answer{op_error::success, 0, {55}});
  CHECK(f.operate(ask(op_code::disable_msi)).error == op_error::success);
  CHECK(f.operate(ask_msix({0, 1})) == answer{op_error::success, 0, {54, 53}});
  CHECK(f.hardware.mapped == std::set<std::uint16_t>{54, 53});
}

TEST_CASE("an enable ends the old one first, with INTx off throughout") {
  fixture f;
  REQUIRE(f.operate(ask(op_code::enable_msi)).error == op_error::success);
  f.hardware.take_log();
  CHECK(f.operate(ask_msix({1})) == answer{op_error::success, 0, {54}});
  CHECK(f.hardware.take_log() == lines{"52=0080", "unmap 55", "map msix 1 -> 54", "72=8004"});
  CHECK(f.operate(ask_msix({1, 2})) == answer{op_error::success, 0, {53, 52}});
  CHECK(f.hardware.take_log() == lines{"72=0004", "unmap 54", "map msix 1 -> 53", "map msix 2 -> 52", "72=8004"});
  CHECK(f.operate(ask(op_code::enable_msi)) == answer{op_error::success, 51, {}});
  CHECK(f.hardware.take_log() == lines{"72=0004", "unmap 53", "unmap 52", "map msi -> 51", "52=0081"});
}

TEST_CASE("an enable bit that a permissive guest has set itself is cleared first") {
  fixture f;
  f.hardware.word(msi_control) |= reg::msi_enable;
  CHECK(f.operate(ask_msix({0})).error == op_error::success);
  CHECK(!f.hardware.msi_on());
}

TEST_CASE("XSA-157: refusals: op_failed, nothing touched, what is on stays on") {
  fixture f;
  bool decodes = true;
  request what = ask_msix({0, 1});
  std::uint32_t value = 2;
  std::string words;
  SUBCASE("no vectors") {
    what = ask_msix({});
    value = 0;
    words = "MSI-X for 0 vectors: 1 to 128 are possible";
  }
  SUBCASE("more than the protocol has") {
    what.entries.resize(128);
    what.value = value = 129;
    words = "MSI-X for 129 vectors: 1 to 128 are possible";
  }
  SUBCASE("any number") {
    what.entries.resize(128);
    what.value = value = 0xffffffff;
    words = "MSI-X for 4294967295 vectors: 1 to 128 are possible";
  }
  SUBCASE("a number that is not that of the entries") {
    what.value = value = 3;
    words = "MSI-X for 3 vectors: 1 to 128 are possible";
  }
  SUBCASE("more than the table has") {
    what = ask_msix({0, 1, 2, 3, 4, 5});
    value = 6;
    words = "MSI-X entry 5 of a table of 5";
  }
  SUBCASE("an entry beyond any table") {
    what = ask_msix({0, 0xffff});
    words = "MSI-X entry 65535 of a table of 5";
  }
  SUBCASE("an entry twice") {
    what = ask_msix({3, 3});
    words = "MSI-X entry 3 asked for twice";
  }
  SUBCASE("the guest does not decode memory") {
    decodes = false;
    words = "MSI-X while the guest has memory decode off";
  }
  SUBCASE("MSI-X off by policy") {
    f.allowed.msix = false;
    words = "MSI-X is switched off by policy";
  }
  SUBCASE("MSI off by policy") {
    what = ask(op_code::enable_msi);
    what.value = 7;
    value = 0;
    f.allowed.msi = false;
    words = "MSI is switched off by policy";
  }
  SUBCASE("no capabilities: MSI") {
    f.interrupts = message_interrupts{function{}};
    what = ask(op_code::enable_msi);
    value = 0;
    words = "the function has no MSI";
  }
  SUBCASE("no capabilities: MSI-X") {
    f.interrupts = message_interrupts{function{}};
    words = "the function has no MSI-X";
  }
  f.interrupts.adopt(interrupt_mode::msi, {{0, 40}});
  CHECK(f.operate(what, decodes) == answer{op_error::op_failed, value, {}});
  REQUIRE(f.interrupts.last_failure());
  CHECK(f.interrupts.last_failure()->context == words);
  CHECK(f.hardware.calls == 0);
  CHECK(f.interrupts.mode() == interrupt_mode::msi);
  CHECK(f.pirqs() == std::set<std::uint16_t>{40});
}

TEST_CASE("XSA-458: any other operation is not implemented, and nothing is touched") {
  fixture f;
  for (const std::uint32_t code : {0U, 1U, 6U, 7U, 8U, 9U, 10U, 11U, 0x104U, 0x80000002U, 0xffffffffU}) {
    request what = ask_msix({0});
    what.code = code;
    what.value = 99;
    CHECK(f.operate(what) == answer{op_error::not_implemented, 99, {}});
  }
  CHECK(f.hardware.calls == 0);
}

TEST_CASE("the whole of the largest table, as far as the protocol goes") {
  fixture f;
  f.nic.config[msix_control] = std::byte{0xff};
  f.nic.config[msix_control + 1] = std::byte{0x07};
  f.nic.resources[3].end = table_base + 0xffff;
  f.nic.config[msix_at + reg::msix_pba + 1] = std::byte{0x80}; // behind the table
  f.interrupts = message_interrupts{f.nic};
  f.hardware.next_pirq = 500;
  std::vector<std::uint16_t> entries(128);
  std::iota(entries.begin(), entries.end(), std::uint16_t{1920});
  CHECK(f.operate(ask_msix(entries)).vectors.size() == 128);
  CHECK(f.hardware.mapped.size() == 128);
}

TEST_CASE("pirq 0 is a failure and does not stay mapped") {
  for (const auto& what : {ask(op_code::enable_msi), ask_msix({0, 1, 2})}) {
    fixture f;
    f.hardware.next_pirq = what.entries.empty() ? 0 : 1;
    CHECK(f.operate(what).error == op_error::op_failed);
    CHECK(f.hardware.mapped.empty());
    CHECK(f.interrupts.vectors().empty());
  }
}

TEST_CASE("disable answers the line's pirq, or 0 without one") {
  for (const auto& [irq, value] : {std::pair{0U, 0U}, {23U, 23U}, {254U, 254U}, {0xffffU, 0xffffU}, {0x10000U, 0U}}) {
    fixture f;
    f.nic.irq = irq;
    f.interrupts = message_interrupts{f.nic};
    CHECK(f.operate(ask(op_code::disable_msi)).value == value);
  }
}

TEST_CASE("a function with one kind: the other's registers are not looked for") {
  fixture f;
  f.nic.config[msi_at + 1] = std::byte{0}; // the list ends at MSI
  f.interrupts = message_interrupts{f.nic};
  f.hardware.word(reg::command) = 0;
  CHECK(f.operate(ask_msix({0})).error == op_error::op_failed);
  CHECK(f.operate(ask(op_code::enable_msi)).error == op_error::success);
  CHECK(f.operate(ask(op_code::disable_msi)).error == op_error::success);
  CHECK(f.hardware.take_log() == lines{"map msi -> 55", "04=0400", "52=0081", "52=0080", "unmap 55", "04=0000"});

  f.nic.config[reg::capabilities] = std::byte{msix_at};
  f.interrupts = message_interrupts{f.nic};
  CHECK(f.operate(ask(op_code::enable_msi)).error == op_error::op_failed);
  CHECK(f.operate(ask_msix({0})).error == op_error::success);
  CHECK(f.operate(ask(op_code::disable_msi)).error == op_error::success);
  CHECK(f.hardware.mapped.empty());
  CHECK(!f.hardware.msix_on());
}

TEST_CASE("vectors and answers are equal when each part is") {
  CHECK(bound_vector{1, 2} == bound_vector{1, 2});
  CHECK(bound_vector{1, 2} != bound_vector{0, 2});
  CHECK(bound_vector{1, 2} != bound_vector{1, 0});
  const answer one{op_error::success, 1, {2}};
  CHECK(one != answer{op_error::op_failed, 1, {2}});
  CHECK(one != answer{op_error::success, 0, {2}});
  CHECK(one != answer{op_error::success, 1, {}});
}
