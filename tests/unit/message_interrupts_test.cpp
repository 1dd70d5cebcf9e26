#include "pci/interrupts/message_interrupts.hpp"

#include <array>
#include <cerrno>
#include <numeric>
#include <set>
#include <string>
#include <utility>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "pci/config_space/registers.hpp"

using namespace pci;

namespace {

constexpr std::uint8_t msi_at = 0x50, msix_at = 0x70;
constexpr std::uint16_t msi_control = msi_at + 2, msix_control = msix_at + 2;
constexpr std::uint64_t table_base = 0x12febd0000;
constexpr std::uint16_t table_size = 5;

/// A function with 5 MSI-X vectors, MSI, and GSI 23.
function make_function() {
  function nic;
  nic.irq = 23;
  nic.config.resize(256);
  const auto put = [&](std::size_t at, std::uint32_t value, std::size_t width) {
    for (std::size_t i = 0; i < width; ++i)
      nic.config[at + i] = static_cast<std::byte>(value >> (8 * i));
  };
  put(reg::command, reg::command_memory | reg::command_master, 2);
  put(reg::status, reg::status_capabilities, 2);
  put(reg::capabilities, msi_at, 1);
  put(msi_at, reg::cap_msi | msix_at << 8, 2);
  put(msi_control, reg::msi_64, 2);
  put(msix_at, reg::cap_msix, 2);
  put(msix_control, table_size - 1, 2);
  put(msix_at + reg::msix_table, 3, 4);
  put(msix_at + reg::msix_pba, 0x2003, 4);
  nic.resources[3] = {table_base, table_base + 0x3fff, resource::memory | resource::memory_64};
  return nic;
}

/// The function's hardware and Xen behind it, as strict as they are; keeps a log of what changes something.
class machine final : public config_port, public pirq_port {
public:
  enum class fault : std::uint8_t {
    none,
    once,       ///< the call number `fail_at` fails and does nothing
    from_there, ///< and so do all after it
    lying,      ///< the call fails, but a write has had its effect
  };

  explicit machine(const function& nic) {
    for (std::size_t at = 0; at < 256; at += 2)
      words[at / 2] = static_cast<std::uint16_t>(nic.copy(at, 2));
  }

  result<std::uint32_t> read(std::uint16_t offset, unsigned width) override {
    REQUIRE(width == 2);
    if (faulty())
      return fail(EIO, "read");
    return words.at(offset / 2);
  }
  result<void> write(std::uint16_t offset, unsigned width, std::uint32_t value) override {
    REQUIRE(width == 2);
    REQUIRE(value <= 0xffff);
    const bool bad = faulty();
    if (!bad || how == fault::lying) {
      words.at(offset / 2) = static_cast<std::uint16_t>(value);
      log.push_back(fmt::format("{:02x}={:04x}", offset, value));
      CHECK(!(msi_on() && msix_on()));
    }
    return bad ? result<void>{fail(EIO, "write")} : result<void>{};
  }
  result<std::uint16_t> map_msi() override { return map("map msi"); }
  result<std::uint16_t> map_msix(std::uint16_t entry, std::uint64_t base) override {
    CHECK(base == table_base);
    CHECK(decoding());
    return map(fmt::format("map msix {}", entry));
  }
  result<void> unmap(std::uint16_t pirq) override {
    if (faulty())
      return fail(unmap_error, "unmap");
    poisoned = poisoned || !decoding();
    CHECK(mapped.erase(pirq) == 1);
    log.push_back(fmt::format("unmap {}", pirq));
    return {};
  }

  [[nodiscard]] std::uint16_t& word(std::uint16_t offset) { return words.at(offset / 2); }
  [[nodiscard]] bool msi_on() const { return (words[msi_control / 2] & reg::msi_enable) != 0; }
  [[nodiscard]] bool msix_on() const { return (words[msix_control / 2] & reg::msix_enable) != 0; }
  [[nodiscard]] bool decoding() const { return (words[reg::command / 2] & reg::command_memory) != 0; }
  [[nodiscard]] bool intx_off() const { return (words[reg::command / 2] & reg::command_intx_disable) != 0; }
  std::vector<std::string> take_log() { return std::exchange(log, {}); }
  void fault_at(fault kind, int call) {
    how = kind;
    fail_at = call;
    calls = 0;
  }

  std::array<std::uint16_t, 128> words{};
  std::set<std::uint16_t> mapped;
  std::uint16_t next_pirq = 55; ///< Xen's go down
  bool poisoned = false;
  int calls = 0;
  int unmap_error = EBUSY;

private:
  bool faulty() {
    const int call = calls++;
    return how == fault::from_there ? call >= fail_at : how != fault::none && call == fail_at;
  }
  result<std::uint16_t> map(const std::string& what) {
    if (faulty())
      return fail(ENOSPC, what);
    mapped.insert(next_pirq);
    log.push_back(fmt::format("{} -> {}", what, next_pirq));
    return next_pirq--;
  }

  fault how = fault::none;
  int fail_at = 0;
  std::vector<std::string> log;
};

request ask(op_code code) { return {.code = static_cast<std::uint32_t>(code), .entries = {}}; }
request ask_msix(std::vector<std::uint16_t> entries) {
  request what = ask(op_code::enable_msix);
  what.value = static_cast<std::uint32_t>(entries.size());
  what.entries = std::move(entries);
  return what;
}

struct fixture {
  function nic = make_function();
  machine hardware{nic};
  message_interrupts interrupts{nic};
  policy allowed;

  answer operate(const request& what, bool decodes = true) {
    return interrupts.operate(what, allowed, decodes, hardware, hardware);
  }
  std::set<std::uint16_t> pirqs() const {
    std::set<std::uint16_t> all;
    for (const auto& one : interrupts.vectors())
      all.insert(one.pirq);
    return all;
  }
};

using lines = std::vector<std::string>;

} // namespace

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

TEST_CASE("refusals: op_failed, nothing touched, what is on stays on") {
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

TEST_CASE("any other operation is not implemented, and nothing is touched") {
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

TEST_CASE("whichever step fails: no pirq is lost, and INTx is as before") {
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
