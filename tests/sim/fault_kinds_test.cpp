// SPDX-License-Identifier: GPL-2.0-or-later
// A whole life, again and again, in which each time a call does not return, an event or a watch comes otherwise than it
// should, or a write into the journal is cut. What is left out, and why, docs/architecture.md says.
#include <cstdlib>
#include <fstream>

#include "faulty_life.hpp"
#include "logged_text.hpp"
#include "platform/linux/directory_records.hpp"
#include "temporary_directory.hpp"

using namespace test;

namespace {

/// FAULT_POINT=N in the environment: only those with number N.
bool is_wanted(std::size_t number) {
  const char* only = std::getenv("FAULT_POINT");
  return only == nullptr || std::strtoul(only, nullptr, 10) == number;
}

/// The names of what a life calls, or is told.
struct whole_life {
  std::vector<std::string> calls, events;

  explicit whole_life(bool with_bystander = false) {
    faulty_life life{{}, {}, with_bystander};
    life.live();
    calls = life.calls();
    events = life.told();
  }
};

std::string_view to_string(faults::event_kind what) {
  constexpr std::array<std::string_view, 4> names{"twice", "late", "lost", "merged"};
  return names.at(static_cast<std::size_t>(what));
}

std::vector<faults::event_kind> kinds_of(const std::string& event) {
  using enum faults::event_kind;
  if (event == "event" || event == "notification") {
    return {doubled, late, lost};
  }
  return event == "watch" ? std::vector{doubled, late, merged} : std::vector{doubled, late};
}

/// The journal in files, which are left as a write leaves them that is cut in its middle.
struct torn_journal {
  explicit torn_journal(bool is_record) : torn_record(is_record) {}

  void tear(const std::string& name, std::string_view text) const {
    std::ofstream(directory / (name + (torn_record ? ".json" : ".next")).c_str(), std::ios::trunc) << text;
  }

  temporary_directory directory;
  bool torn_record; ///< the record itself, as no file system leaves it whose rename is whole; or what is to replace it
  std::shared_ptr<platform::records> files =
      platform::linux_host::directory_records::open(directory / "", ".json").value();
};

} // namespace

TEST_SUITE_BEGIN("deterministic");

TEST_CASE("a call of a life does not return until the daemon is killed, and other guests are served meanwhile") {
  const whole_life whole(true);
  std::size_t points = 0, served = 0;
  for (std::size_t number = 1; number <= whole.calls.size(); number += 3 * fault_stride) {
    if (!is_wanted(number)) {
      continue;
    }
    CAPTURE(number);
    CAPTURE(whole.calls[number - 1]);
    const logged_text log;
    faulty_life life{{{{number, {faults::kind::hangs, 0}}}, {}}, {}, true};
    life.live();
    CHECK_FALSE(log.has("bug"));
    CHECK(life.timeouts == 0);
    CHECK(life.not_served_meanwhile == 0);
    served += life.served_meanwhile;
    ++points;
  }
  MESSAGE(points, " points, ", served, " operations of another guest meanwhile");
  CHECK((points < 20 || served > points)); // most are made on threads of their own
}

TEST_CASE("what a life is told comes twice, late, merged or not at all, and nothing is left behind") {
  const whole_life whole;
  std::size_t points = 0;
  for (std::size_t number = 1; number <= whole.events.size(); ++number) {
    const auto& event = whole.events[number - 1];
    const bool of_operation = event == "event" || event == "notification"; // most, and one as the other
    if (!is_wanted(number) || number % (of_operation ? 3 * fault_stride : fault_stride) != 0) {
      continue;
    }
    for (const auto what : kinds_of(event)) {
      CAPTURE(number);
      CAPTURE(event);
      CAPTURE(to_string(what));
      const logged_text log;
      faulty_life life{{{}, {{number, what}}}};
      life.live();
      CHECK_FALSE(log.has("bug"));
      CHECK((life.timeouts == 0 || what == faults::event_kind::lost));
      ++points;
    }
  }
  MESSAGE(points, " points");
}

TEST_CASE("the daemon is killed in the middle of each write into the journal") {
  const whole_life whole;
  for (const bool torn_record : {false, true}) {
    std::size_t points = 0, writes = 0;
    for (std::size_t number = 1; number <= whole.calls.size(); ++number) {
      const bool is_write = whole.calls[number - 1] == "journal write";
      if (!is_write || writes++ % fault_stride != 0 || !is_wanted(number)) {
        continue;
      }
      CAPTURE(number);
      CAPTURE(torn_record);
      const logged_text log;
      const torn_journal journal(torn_record);
      faulty_life life{{{{number, {faults::kind::tears, 0}}}, {}}, journal.files};
      life.when_torn([&](const std::string& name, std::string_view text) { journal.tear(name, text); });
      life.forgets_guests = torn_record;
      life.live();
      CHECK_FALSE(log.has("bug"));
      CHECK((life.timeouts == 0 || torn_record));
      ++points;
    }
    MESSAGE(points, " points");
  }
}

TEST_SUITE_END();
