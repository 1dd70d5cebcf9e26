// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "pci/protocol/aer.hpp"

using pci::channel_state;
using pci::op_code;
using pci::recovery;
using pci::recovery_failure;
using pci::recovery_step;
using kind = pci::recovery_step::kind;
using state = pci::recovery::state;

namespace {

constexpr recovery::guest good{true, true};
constexpr std::int32_t none = 1, can_recover = 2, need_reset = 3, disconnect = 4, recovered = 5, no_aer_driver = 6;

std::string failure_name(recovery_failure why) {
  constexpr std::array names{"!handler", "!driver", "!gave-up", "!nonsense", "!silent", "!hardware", "!relapse"};
  return names.at(static_cast<std::size_t>(why));
}

/// A step in a word.
std::string name(const recovery_step& step) {
  switch (step.what) {
  case kind::none:
    return "-";
  case kind::ask:
    switch (step.request) {
    case op_code::aer_detected:
      return step.state == channel_state::frozen ? "frozen" : "detected";
    case op_code::aer_mmio:
      return step.state == channel_state::normal ? "mmio" : "?";
    case op_code::aer_slotreset:
      return step.state == channel_state::normal ? "slot" : "?";
    case op_code::aer_resume:
      return step.state == channel_state::normal ? "resume" : "?";
    default:
      return "?";
    }
  case kind::wait_for_host:
    return "wait";
  case kind::restore:
    return "restore";
  case kind::reset_and_restore:
    return "reset";
  case kind::recovered:
    return "ok";
  case kind::failed:
    return failure_name(step.why);
  }
  return "?";
}

/// The state that a step leads to.
state state_after(const std::string& step, state before) {
  if (step == "-")
    return before;
  if (step == "detected" || step == "frozen")
    return state::detected;
  if (step == "wait")
    return state::settling;
  if (step == "restore" || step == "reset")
    return state::restoring;
  if (step == "mmio")
    return state::checking;
  if (step == "slot")
    return state::slot_reset;
  return step == "resume" ? state::resuming : state::idle;
}

/// A recovery that has come as far as the words say; "normal" or "frozen" first.
recovery brought(const std::string& path) {
  recovery made;
  std::istringstream words(path);
  for (std::string word; words >> word;) {
    if (word == "normal")
      static_cast<void>(made.error(channel_state::normal, good));
    else if (word == "frozen")
      static_cast<void>(made.error(channel_state::frozen, good));
    else if (word == "ended")
      static_cast<void>(made.host_ended());
    else if (word == "restored")
      static_cast<void>(made.restored(true));
    else
      static_cast<void>(made.answered(word.at(0) - '0'));
  }
  return made;
}

using input = std::function<recovery_step(recovery&)>;

input answer(std::int32_t raw) {
  return [raw](recovery& r) { return r.answered(raw); };
}

/// In the order of the table's columns.
const std::vector<std::pair<std::string, input>>& inputs() {
  static const std::vector<std::pair<std::string, input>> all{
      {"error", [](recovery& r) { return r.error(channel_state::normal, good); }},
      {"frozen", [](recovery& r) { return r.error(channel_state::frozen, good); }},
      {"ended", [](recovery& r) { return r.host_ended(); }},
      {"NONE", answer(none)},
      {"CAN_RECOVER", answer(can_recover)},
      {"NEED_RESET", answer(need_reset)},
      {"DISCONNECT", answer(disconnect)},
      {"RECOVERED", answer(recovered)},
      {"NO_AER_DRIVER", answer(no_aer_driver)},
      {"garbage", answer(0x5a5a5a5a)},
      {"time", [](recovery& r) { return r.timed_out(); }},
      {"restored", [](recovery& r) { return r.restored(true); }},
      {"broken", [](recovery& r) { return r.restored(false); }},
      {"gone", [](recovery& r) { return r.disconnected(); }},
  };
  return all;
}

struct row {
  const char* path;
  state at;
  const char* steps; ///< one word a column of inputs()
};

// clang-format off
const std::vector<row> table{
    {"", state::idle,
     "detected frozen - - - - - - - - - - - -"},
    {"normal", state::detected,
     "- - - !driver mmio reset !gave-up resume !driver !nonsense !silent - - reset"},
    {"frozen", state::detected,
     "- - - !driver wait wait !gave-up wait !driver !nonsense !silent - - wait"},
    {"frozen ended", state::detected,
     "- - - !driver restore restore !gave-up restore !driver !nonsense !silent - - restore"},
    {"frozen 3", state::settling,
     "- - restore - - - - - - - reset - - -"},
    {"normal 3", state::restoring,
     "- - - - - - - - - - - slot !hardware -"},
    {"frozen 3 ended", state::restoring,
     "- - - - - - - - - - - slot !hardware -"},
    {"frozen 2 ended", state::restoring,
     "- - - - - - - - - - - mmio !hardware -"},
    {"frozen 5 ended", state::restoring,
     "- - - - - - - - - - - resume !hardware -"},
    {"normal 2", state::checking,
     "- - - !driver !nonsense reset !gave-up resume !driver !nonsense !silent - - reset"},
    {"frozen 2 ended restored", state::checking,
     "- - - !driver !nonsense reset !gave-up resume !driver !nonsense !silent - - reset"},
    {"normal 3 restored", state::slot_reset,
     "- - - !driver !nonsense !nonsense !gave-up resume !driver !nonsense !silent - - reset"},
    {"frozen 3 ended restored", state::slot_reset,
     "- - - !driver !nonsense !nonsense !gave-up resume !driver !nonsense !silent - - reset"},
    {"normal 5", state::resuming,
     "- - - ok ok ok ok ok ok ok !silent - - reset"},
    {"frozen 3 ended restored 5", state::resuming,
     "- - - ok ok ok ok ok ok ok !silent - - reset"},
};
// clang-format on

} // namespace

TEST_CASE("every input in every state of a recovery") {
  for (const auto& line : table) {
    std::istringstream words(line.steps);
    for (const auto& [what, act] : inputs()) {
      std::string wanted;
      words >> wanted;
      REQUIRE_FALSE(wanted.empty());
      auto machine = brought(line.path);
      CAPTURE(line.path);
      CAPTURE(what);
      REQUIRE(machine.current() == line.at);
      CHECK(name(act(machine)) == wanted);
      CHECK(machine.current() == state_after(wanted, line.at));
    }
  }
}

TEST_CASE("no number that a guest may write is taken for another result") {
  for (const std::int32_t raw :
       {0, -1, 7, 8, 257, 65537, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()}) {
    CHECK_FALSE(pci::parse_recovery_result(raw));
    for (const auto* path : {"normal", "normal 2", "normal 3 restored"}) {
      auto machine = brought(path);
      CHECK(name(machine.answered(raw)) == "!nonsense");
    }
  }
  CHECK(pci::parse_recovery_result(1) == pci::recovery_result::none);
  CHECK(pci::parse_recovery_result(6) == pci::recovery_result::no_aer_driver);
}

TEST_CASE("a frontend without a handler, and none at all") {
  recovery machine;
  CHECK(name(machine.error(channel_state::normal, {true, false})) == "!handler");
  CHECK(name(machine.error(channel_state::frozen, {true, false})) == "!handler");
  CHECK(machine.current() == state::idle);
  // Nobody uses the function: it is put in order without a word.
  CHECK(name(machine.error(channel_state::normal, {})) == "reset");
  CHECK(name(machine.restored(true)) == "ok");
  CHECK(name(machine.error(channel_state::frozen, {})) == "wait");
  CHECK(name(machine.host_ended()) == "restore");
  CHECK(name(machine.restored(false)) == "!hardware");
}

TEST_CASE("a frontend that goes in the middle of a recovery is asked no more") {
  for (const auto* path : {"frozen 3", "normal 3", "frozen 3 ended"}) {
    auto machine = brought(path);
    CHECK(name(machine.disconnected()) == "-");
    static_cast<void>(machine.host_ended());
    CHECK(name(machine.restored(true)) == "ok");
  }
  auto machine = brought("normal 2");
  CHECK(name(machine.disconnected()) == "reset");
  CHECK(name(machine.answered(recovered)) == "-");
  CHECK(name(machine.restored(true)) == "ok");
}

TEST_CASE("an error after the function was restored starts the recovery over") {
  for (const auto* path : {"normal 2", "normal 3 restored", "normal 5"}) {
    auto machine = brought(path);
    CHECK(name(machine.error(channel_state::normal, good)) == "-");
    CHECK(name(machine.answered(recovered)) == "detected");
    CHECK(name(machine.answered(recovered)) == "resume");
    CHECK(name(machine.answered(none)) == "ok");
  }
}

TEST_CASE("a fatal error in the middle of a recovery is recovered from as such") {
  for (const auto* path : {"normal", "normal 2", "normal 3 restored", "normal 5"}) {
    auto machine = brought(path);
    CHECK(name(machine.error(channel_state::frozen, good)) == "-");
    CHECK(name(machine.error(channel_state::normal, good)) == "-"); // does not make it harmless
    CHECK(name(machine.answered(can_recover)) == "frozen");
    CHECK(name(machine.answered(need_reset)) == "wait");
    CHECK(name(machine.host_ended()) == "restore");
  }
  // While the function is being restored: what was written is lost.
  for (const auto* path : {"normal 3", "frozen 3 ended"}) {
    auto machine = brought(path);
    CHECK(name(machine.error(channel_state::frozen, good)) == "-");
    CHECK(name(machine.host_ended()) == "-");
    CHECK(name(machine.restored(false)) == "frozen");
    CHECK(name(machine.answered(need_reset)) == "restore"); // the kernel had ended already
  }
}

TEST_CASE("an error that the recovery under way mends anyway does not start it over") {
  const auto told_again = [](const char* path, channel_state how) {
    auto machine = brought(path);
    CHECK(name(machine.error(how, good)) == "-");
    return machine;
  };
  CHECK(name(told_again("normal", channel_state::normal).answered(can_recover)) == "mmio");
  CHECK(name(told_again("frozen", channel_state::normal).answered(need_reset)) == "wait");
  CHECK(name(told_again("frozen", channel_state::frozen).answered(need_reset)) == "wait");
  for (const auto how : {channel_state::normal, channel_state::frozen}) {
    auto settling = told_again("frozen 3", how);
    CHECK(name(settling.host_ended()) == "restore");
    CHECK(name(settling.restored(true)) == "slot");
  }
  CHECK(name(told_again("normal 3", channel_state::normal).restored(true)) == "slot");
  CHECK(name(told_again("frozen 3 ended", channel_state::normal).restored(true)) == "slot");
}

TEST_CASE("errors without end are given up on") {
  auto machine = brought("normal 2");
  for (unsigned i = 0; i < recovery::restarts; ++i) {
    static_cast<void>(machine.error(channel_state::normal, good));
    CHECK(name(machine.answered(recovered)) == "detected");
    CHECK(name(machine.answered(can_recover)) == "mmio");
  }
  static_cast<void>(machine.error(channel_state::normal, good));
  CHECK(name(machine.answered(recovered)) == "!relapse");
  CHECK(machine.current() == state::idle);
  CHECK(name(machine.error(channel_state::normal, good)) == "detected"); // the next one counts anew
}

TEST_CASE("whatever happens in whatever order, a guest that answers comes to an end") {
  std::mt19937 random(8);
  for (int round = 0; round < 20000; ++round) {
    recovery machine;
    for (auto steps = random() % 24; steps != 0; --steps)
      static_cast<void>(inputs().at(random() % inputs().size()).second(machine));
    for (int steps = 0; machine.current() != state::idle; ++steps) {
      REQUIRE(steps < 40);
      switch (machine.current()) {
      case state::settling:
        static_cast<void>(machine.host_ended());
        break;
      case state::restoring:
        static_cast<void>(machine.restored(true));
        break;
      default:
        static_cast<void>(machine.answered(need_reset));
      }
    }
  }
}

TEST_CASE("a recovery that was saved goes on as the one that was not") {
  std::mt19937 random(9);
  for (int round = 0; round < 20000; ++round) {
    recovery machine;
    for (int steps = 0; steps < 24; ++steps) {
      const auto saved = recovery::from(machine.saved());
      CHECK((machine.saved() == 0) == (machine.current() == state::idle));
      REQUIRE(saved.has_value() == (machine.current() != state::idle));
      auto next = saved.value_or(recovery{});
      const auto& act = inputs().at(random() % inputs().size()).second;
      REQUIRE(act(machine) == act(next));
      REQUIRE(machine.saved() == next.saved());
    }
  }
}

TEST_CASE("a number that no recovery has is none, and one that has is the same again") {
  unsigned good_ones = 0;
  for (std::uint32_t number = 0; number < 1U << (recovery::saved_bits + 1); ++number)
    if (const auto found = recovery::from(number)) {
      ++good_ones;
      REQUIRE(found->saved() == number);
    }
  CHECK(good_ones == 6 * 2 * 8 * 2 * 4 * 3 * 2 * 4);
  CHECK_FALSE(recovery::from(0xffffffff));
}

TEST_CASE("after a fatal error the function is cut off until it is restored") {
  for (const auto& [path, cut_off] : std::vector<std::pair<std::string, bool>>{{"", false},
                                                                               {"normal", false},
                                                                               {"frozen", true},
                                                                               {"frozen 3", true},
                                                                               {"frozen 3 ended", true},
                                                                               {"frozen 3 ended restored", false},
                                                                               {"frozen 3 ended restored 5", false},
                                                                               {"normal 3", false},
                                                                               {"normal frozen", true},
                                                                               {"normal 3 frozen", true}}) {
    CAPTURE(path);
    CHECK(brought(path).is_cut_off() == cut_off);
  }
}

TEST_CASE("the step that is under way is repeated") {
  for (const auto& [path, wanted] : std::vector<std::pair<std::string, std::string>>{{"", "-"},
                                                                                     {"normal", "detected"},
                                                                                     {"frozen", "frozen"},
                                                                                     {"frozen 3", "wait"},
                                                                                     {"frozen 3 ended", "reset"},
                                                                                     {"normal 3", "reset"},
                                                                                     {"normal 2", "mmio"},
                                                                                     {"normal 3 restored", "slot"},
                                                                                     {"normal 5", "resume"}}) {
    CAPTURE(path);
    CHECK(name(brought(path).repeated()) == wanted);
  }
}

// -- the page

namespace {

struct page {
  alignas(4096) std::array<std::byte, 4096> bytes{};
  pci::wire::shared_info& info() { return *reinterpret_cast<pci::wire::shared_info*>(bytes.data()); }
};

std::uint32_t word(const page& page, std::size_t offset) {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < 4; ++i)
    value |= std::to_integer<std::uint32_t>(page.bytes.at(offset + i)) << (8 * i);
  return value;
}

} // namespace

TEST_CASE("a request lies where the frontend looks for it, and touches nothing else") {
  page page;
  page.bytes.fill(std::byte{0xa5});
  page.info().flags = 0x3;
  const auto before = page.bytes;
  pci::aer_page view(page.bytes.data());
  view.ask(op_code::aer_detected, channel_state::frozen, pci::make_sbdf(0x1234, 0x56, 7, 1));
  CHECK(word(page, 0) == 0x7);
  CHECK(word(page, 552) == 6);
  CHECK(word(page, 556) == 2);
  CHECK(word(page, 560) == 0x1234);
  CHECK(word(page, 564) == 0x56);
  CHECK(word(page, 568) == 0x39);
  for (std::size_t i = 4; i < 4096; ++i)
    if (i < 552 || i >= 572)
      REQUIRE(page.bytes.at(i) == before.at(i));
}

TEST_CASE("an answer counts when the flag is clear") {
  page page;
  pci::aer_page view(page.bytes.data());
  view.ask(op_code::aer_slotreset, channel_state::normal, {});
  CHECK(word(page, 552) == 9);
  CHECK_FALSE(view.answer());
  page.info().aer_op.err = -77;
  CHECK_FALSE(view.answer());
  page.info().flags = 0x1; // an operation of the guest's own, meanwhile
  CHECK(view.answer() == -77);
}

TEST_CASE("a request that is taken back leaves NONE and the other flags") {
  page page;
  pci::aer_page view(page.bytes.data());
  page.info().flags = 0x3;
  view.ask(op_code::aer_mmio, channel_state::normal, {});
  view.withdraw();
  CHECK(word(page, 0) == 0x3);
  CHECK(word(page, 556) == 1);
}

// -- tallies

TEST_CASE("a tally counts by severity and keeps the last status, bounded") {
  pci::error_tally tally;
  tally.add(pci::error_severity::corrected, "Bad TLP");
  CHECK_FALSE(tally.uncorrected());
  tally.add(pci::error_severity::nonfatal, "Poisoned TLP");
  tally.add(pci::error_severity::fatal, std::string(5000, 'x'));
  CHECK(tally.uncorrected());
  CHECK(tally.corrected == 1);
  CHECK(tally.nonfatal == 1);
  CHECK(tally.fatal == 1);
  CHECK(tally.last.size() == 160);

  pci::error_tally more;
  more.host_ended = true;
  tally.add(more);
  CHECK(tally.host_ended);
  CHECK(tally.last.size() == 160);
  more.add(pci::error_severity::corrected, "Bad DLLP");
  tally.add(more);
  CHECK(tally.corrected == 2);
  CHECK(tally.last == "Bad DLLP");
}

// -- words

TEST_CASE("whatever is told of errors has a word of its own") {
  std::vector<std::string_view> words;
  for (const auto each : {pci::error_severity::corrected, pci::error_severity::nonfatal, pci::error_severity::fatal})
    words.push_back(pci::to_string(each));
  for (const auto each : {channel_state::normal, channel_state::frozen, channel_state::perm_failure})
    words.push_back(pci::to_string(each));
  for (const auto each : {recovery_failure::no_handler, recovery_failure::no_driver, recovery_failure::disconnect,
                          recovery_failure::nonsense, recovery_failure::no_answer, recovery_failure::not_restorable,
                          recovery_failure::relapse})
    words.push_back(pci::to_string(each));
  CHECK(std::find(words.begin(), words.end(), "unknown") == words.end());
  std::sort(words.begin(), words.end());
  CHECK(std::adjacent_find(words.begin(), words.end()) == words.end());
  CHECK(pci::to_string(static_cast<channel_state>(0)) == "unknown");
  CHECK(pci::to_string(static_cast<recovery_failure>(99)) == "unknown");
  CHECK(pci::to_string(static_cast<pci::error_severity>(99)) == "unknown");
}

TEST_CASE("recovery: a function that nobody in the guest uses is put in order, and nobody is blamed") {
  constexpr recovery::guest unused{true, true, false};
  for (const auto channel : {channel_state::normal, channel_state::frozen}) {
    CAPTURE(static_cast<int>(channel));
    recovery machine;
    // A driver that masters no bus may handle errors all the same: it is asked.
    CHECK(machine.error(channel, unused).what == recovery_step::kind::ask);
    auto step = machine.answered(none);
    if (channel == channel_state::frozen) {
      CHECK(step.what == recovery_step::kind::wait_for_host);
      step = machine.host_ended();
      CHECK(step.what == recovery_step::kind::restore);
    } else {
      CHECK(step.what == recovery_step::kind::reset_and_restore);
    }
    CHECK(machine.restored(true).what == recovery_step::kind::recovered);
    CHECK(machine.current() == state::idle);
  }
  // The same answer of a driver without handlers, and another of one that says that it has none.
  for (const auto& [who, said] : {std::pair{good, none}, std::pair{unused, no_aer_driver}}) {
    recovery machine;
    CHECK(machine.error(channel_state::normal, who).what == recovery_step::kind::ask);
    const auto step = machine.answered(said);
    CHECK(step.what == recovery_step::kind::failed);
    CHECK(step.why == recovery_failure::no_driver);
  }
  // A frontend that cannot be asked.
  recovery machine;
  CHECK(machine.error(channel_state::normal, {true, false, false}).what == recovery_step::kind::reset_and_restore);
  recovery other;
  CHECK(other.error(channel_state::normal, {true, false, true}).why == recovery_failure::no_handler);
  // Later in a recovery a driver has begun with the function.
  recovery later;
  CHECK(later.error(channel_state::normal, unused).what == recovery_step::kind::ask);
  CHECK(later.answered(can_recover).what == recovery_step::kind::ask);
  CHECK(later.answered(none).why == recovery_failure::no_driver);
}
