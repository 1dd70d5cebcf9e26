// SPDX-License-Identifier: GPL-2.0-or-later
// What the daemon writes down for the one that starts after it, and what becomes of a record that is damaged.
#include <cerrno>

#include <doctest/doctest.h>

#include "actors/journal/journal.hpp"
#include "counted_records.hpp"

using actors::function_record;

namespace {

function_record example() {
  function_record what;
  what.function.address = pci::make_sbdf(0, 3, 0, 1);
  what.function.vendor = 0x8086;
  what.function.device = 0x10d3;
  what.function.class_code = 0x020000;
  what.function.irq = 23;
  what.function.physical_function = pci::make_sbdf(0, 3, 0, 0);
  what.function.resources[0] = {0xfe000000, 0xfe01ffff, 0x40200};
  what.function.resources[2] = {0xfffffffffffff000, 0xffffffffffffffff, 0x140204};
  for (int i = 0; i < 256; ++i) {
    what.function.config.push_back(static_cast<std::byte>(i * 7));
  }
  what.holder = platform::holder::uio;
  what.previous_driver = "e1000e";
  what.domain = 12;
  what.target = 11;
  what.granted = what.permissive = what.decoding = true;
  what.acknowledging = false;
  what.mode = pci::interrupt_mode::msix;
  what.vectors = {{0, 55}, {4, 54}};
  what.command = 0x0507;
  what.past_guests = {3, 4};
  what.power = platform::power_settings{true, std::nullopt, true};
  return what;
}

std::string with(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

} // namespace

TEST_CASE("a record reads as it was written") {
  const auto what = example();
  const auto read = actors::parse_record(to_text(what));
  REQUIRE(read);
  CHECK(*read == what);
  CHECK(read->function.resources[2].end == 0xffffffffffffffff);
  CHECK(read->function.config == what.function.config);
  CHECK(read->function.physical_function == what.function.physical_function);
  CHECK(read->vectors == what.vectors);
  CHECK(read->domain == 12);
  CHECK(read->target == 11);
  // One of an instance that did not know of device models.
  CHECK_FALSE(actors::parse_record(with(to_text(what), "\"target\":11,", "")).value().target);
  CHECK(read->holder == platform::holder::uio);
  CHECK(read->command == 0x0507);
  CHECK(read->past_guests == std::vector<messages::domain_id>{3, 4});
  CHECK_FALSE(read->acknowledging);
  CHECK(read->power == platform::power_settings{true, std::nullopt, true});
  // One of an instance that left dom0's power management as it had made it.
  const std::string power = R"("power":{"suspends":true,"loses_power":null,"enabled_here":true},)";
  CHECK_FALSE(actors::parse_record(with(to_text(what), power, "")).value().power);

  function_record idle;
  idle.function.config.resize(4096);
  const auto plain = actors::parse_record(to_text(idle));
  REQUIRE(plain);
  CHECK(*plain == idle);
  CHECK_FALSE(plain->domain);
  CHECK(to_text(idle).size() < 0x10000);
}

TEST_CASE("a record that is cut off anywhere, or has one byte changed, is refused or read, and never worse") {
  const auto text = to_text(example());
  const auto whole = text.find_last_of('}');
  for (std::size_t length = 0; length <= whole; ++length) {
    const auto read = actors::parse_record(std::string_view(text).substr(0, length));
    REQUIRE_FALSE(read);
    CHECK(read.error().error == EPROTO);
  }
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const char other : {'\0', '"', '}', ']', '9', '-', 'x', '\xff'}) {
      auto garbled = text;
      garbled[at] = other;
      if (const auto read = actors::parse_record(garbled); read) {
        CHECK(read->vectors.size() <= 2);
        CHECK(read->function.config.size() == 256);
      }
    }
  }
}

TEST_CASE("each thing that is wrong in a record is named") {
  const auto text = to_text(example());
  struct row {
    const char* from;
    const char* to;
    const char* says;
  };
  for (const auto& [from, to, says] : std::initializer_list<row>{
           {"\"version\":1", "\"version\":2", "version 2, where this daemon knows 1"},
           {"\"version\":1,", "", "\"version\""},
           {"\"holder\":\"uio\"", "\"holder\":\"vfio\"", "\"holder\""},
           {"\"domain\":12", "\"domain\":32752", "\"domain\""},
           {"\"domain\":12", "\"domain\":-1", "\"domain\""},
           {"\"domain\":12,", "", "\"domain\""},
           {"\"granted\":true", "\"granted\":1", "\"granted\""},
           {"\"mode\":\"msix\"", "\"mode\":\"\"", "\"mode\""},
           {"[0,55]", "[0,65536]", "\"vectors\""},
           {"[0,55]", "[0]", "\"vectors\""},
           {"[0,55]", "0", "\"vectors\""},
           {"\"command\":1287", "\"command\":65536", "\"command\""},
           {"\"address\":\"0000:03:00.1\"", "\"address\":\"0000:03:00.9\"", "\"function.address\""},
           {"\"irq\":23", "\"irq\":4294967296", "\"function.irq\""},
           {"\"config\":\"0007", "\"config\":\"00", "\"function.config\""},
           {"\"config\":\"0007", "\"config\":\"00zz", "\"function.config\""},
           {"[0,0,0],", "", "\"function.resources\""},
           {"\"suspends\":true", "\"suspends\":1", "\"power\""},
           {",\"enabled_here\":true", "", "\"power\""},
           {",\"config\":\"0007", ",\"config\":\"\",\"copy\":\"0007", "\"function.config\""},
           {"\"function\":{", "\"function\":[],\"x\":{", "\"function.no object\""}}) {
    CAPTURE(to);
    const auto read = actors::parse_record(with(text, from, to));
    REQUIRE_FALSE(read);
    CHECK_MESSAGE(read.error().context.find(says) != std::string::npos, read.error().context);
  }
  CHECK_FALSE(actors::parse_record("[]"));
  CHECK_FALSE(actors::parse_record(std::string(0x10001, ' ')));
  CHECK_FALSE(actors::parse_record(std::string(0x8000, '[')));
}

TEST_CASE("a record of before records were counted reads as the earliest") {
  const auto read = actors::parse_record(with(to_text(example()), ",\"written\":0", ""));
  REQUIRE(read);
  CHECK(read->written == 0);
}

TEST_CASE("the journal tells whose a pirq is that two records have") {
  auto where = std::make_shared<platform::memory_records>();
  auto one = example(), other = example();
  other.function.address = pci::make_sbdf(0, 4, 0, 0);
  other.vectors = {{7, 54}, {8, 60}};
  using vectors = std::vector<pci::bound_vector>;
  {
    actors::journal journal(where);
    REQUIRE(journal.note(one));
    REQUIRE(journal.note(other));
  }
  actors::journal journal(where); // the next instance
  CHECK(journal.own_vectors(journal.find(one.function.address).value()) == vectors{{0, 55}});
  CHECK(journal.own_vectors(journal.find(other.function.address).value()) == other.vectors);
  REQUIRE(journal.note(one)); // which has it now: the other one lost it before
  CHECK(journal.own_vectors(journal.find(one.function.address).value()) == one.vectors);
  CHECK(journal.own_vectors(journal.find(other.function.address).value()) == vectors{{8, 60}});
  other.domain = 13; // its pirqs are other pirqs
  REQUIRE(journal.note(other));
  CHECK(journal.own_vectors(journal.find(one.function.address).value()) == one.vectors);
  CHECK(journal.own_vectors(journal.find(other.function.address).value()) == other.vectors);
}

TEST_CASE("what cannot be written is doubted, remembered, and written when it can be") {
  auto where = std::make_shared<test::counted_records>();
  actors::journal journal(where);
  auto what = example();
  const auto name = pci::to_string(what.function.address);
  REQUIRE(journal.note(what));
  where->failing = true;
  what.vectors = {{0, 44}};
  CHECK(journal.note(what).error().error == ENOSPC);
  CHECK(where->doubted(name));
  CHECK(journal.find(what.function.address) == what); // this instance knows better
  CHECK_FALSE(journal.flush());
  const auto seen = actors::journal(where).find(what.function.address);
  REQUIRE(seen);
  CHECK(seen->doubtful);
  CHECK(seen->vectors.size() == 2);
  CHECK(actors::journal(where).own_vectors(*seen).empty());
  where->failing = false;
  SUBCASE("by itself") { CHECK(journal.flush()); }
  SUBCASE("with the next of another function") {
    auto other = example();
    other.function.address = pci::make_sbdf(0, 4, 0, 0);
    CHECK(journal.note(other));
  }
  CHECK_FALSE(where->doubted(name));
  CHECK(actors::journal(where).find(what.function.address) == what);
}

TEST_CASE("what an earlier instance has written is read once, and written again when it is otherwise") {
  auto where = std::make_shared<test::counted_records>();
  const auto what = example();
  REQUIRE(where->write(pci::to_string(what.function.address), to_text(what)));
  actors::journal journal(where);
  REQUIRE(journal.load().size() == 1);
  REQUIRE(where->inside().remove(pci::to_string(what.function.address)));
  CHECK(journal.find(what.function.address) == what); // a guest waits while this is asked
  where->writes = 0;
  REQUIRE(journal.note(what));
  CHECK(where->writes == 0);
  REQUIRE(journal.note(what)); // from here on all that is noted is written
  CHECK(where->writes == 1);
  CHECK(journal.find(what.function.address) == what);

  actors::journal next(where);
  REQUIRE(next.load().size() == 1);
  auto changed = what;
  changed.vectors.clear();
  REQUIRE(next.note(changed));
  CHECK(where->writes == 2);
  CHECK(next.find(what.function.address) == changed);
}

TEST_CASE("the journal keeps a record a function, and sets aside what it cannot use") {
  auto where = std::make_shared<platform::memory_records>();
  actors::journal journal(where);
  CHECK(journal.load().empty());
  auto what = example();
  journal.note(what);
  what.vectors.clear();
  journal.note(what);
  CHECK(journal.find(what.function.address) == what);
  CHECK_FALSE(journal.find(pci::make_sbdf(0, 3, 0, 0)));
  REQUIRE(where->write("0000:03:00.2", "{\"version\":1"));
  REQUIRE(where->write("0000:03:00.3", to_text(what)));
  const auto all = journal.load();
  REQUIRE(all.size() == 1);
  CHECK(all.front() == what);
  CHECK(where->names().value().size() == 1);
  journal.forget(what.function.address);
  CHECK(where->names().value().empty());
}
