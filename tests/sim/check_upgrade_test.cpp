// SPDX-License-Identifier: GPL-2.0-or-later
// `pcibackd --check-upgrade`: what another version would not take over of what this one has written.
#include <fstream>

#include <doctest/doctest.h>

#include "actors/journal/record.hpp"
#include "actors/journal/upgrade.hpp"
#include "platform/linux/directory_records.hpp"
#include "platform/remote/holdings.hpp"
#include "platform/sim/host.hpp"
#include "temporary_directory.hpp"
#include "tools/pcibackd/check_upgrade.hpp"

using actors::fate_of_record;
using kind = actors::record_fate::kind;

namespace {

constexpr const char* card = "0000:03:00.0";

std::string text_of_record() {
  actors::function_record what;
  what.function.address = pci::make_sbdf(0, 3, 0, 0);
  what.function.config.resize(256, std::byte{7});
  what.function.resources[0] = {0xfffffffffffff000, 0xffffffffffffffff, 0x40200};
  what.previous_driver = "e1000e";
  what.domain = 12;
  what.vectors = {{0, 55}};
  what.written = 7;
  return to_text(what);
}

std::string changed(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

} // namespace

TEST_CASE("upgrade: of a record of its own a version loses nothing") {
  CHECK(fate_of_record(card, text_of_record()).how == kind::kept);
  CHECK(fate_of_record(card, text_of_record()).domain == 12);
  CHECK(fate_of_record(card, changed(text_of_record(), "\"domain\":12", "\"domain\":null")).how == kind::kept);
  // What an older one did not write yet.
  CHECK(fate_of_record(card, changed(text_of_record(), "\"written\":7,", "")).how == kind::kept);
  CHECK(fate_of_record(card, changed(text_of_record(), "\"target\":null,", "")).how == kind::kept);
  CHECK(fate_of_record("resets", "b4\n8086:10d3 flr\n").how == kind::kept);
}

TEST_CASE("upgrade: what a later version has written and this one does not know is named") {
  const auto more = changed(text_of_record(), "\"granted\"", "\"sleeps\":[1,{\"a\":2}],\"granted\"");
  const auto fate = fate_of_record(card, more);
  CHECK(fate.how == kind::parts);
  CHECK(fate.what == "\"sleeps\"");
  const auto deeper = changed(more, "\"function\":{", "\"function\":{\"slot\\u001b\":3,");
  CHECK(fate_of_record(card, deeper).what == "\"function.slot?\", \"sleeps\"");
  std::string many;
  for (int number = 0; number < 20; ++number) {
    many += "\"new" + std::to_string(number) + "\":0,";
  }
  CHECK(fate_of_record(card, changed(text_of_record(), "\"granted\"", many + "\"granted\""))
            .what.ends_with(" and 12 more"));
}

TEST_CASE("upgrade: a record that cannot be used is told with its guest") {
  const auto newer = fate_of_record(card, changed(text_of_record(), "\"version\":1", "\"version\":2"));
  CHECK(newer.how == kind::lost);
  CHECK(newer.what == "version 2, where this daemon knows 1");
  CHECK(newer.domain == 12);
  CHECK(fate_of_record(card, changed(text_of_record(), "\"mode\":\"intx\"", "\"mode\":\"ims\"")).how == kind::lost);
  CHECK(fate_of_record("0000:04:00.0", text_of_record()).what == "it is another function's");
  for (const auto* text : {"", "{", "[]", "3", "null", R"({"domain":99999999})", R"({"domain":"x"})"}) {
    CAPTURE(text);
    CHECK(fate_of_record(card, text).how == kind::lost);
    CHECK_FALSE(fate_of_record(card, text).domain);
  }
}

TEST_CASE("upgrade: the report reads what instances have left, and leaves it as it is") {
  const test::temporary_directory directory;
  const std::filesystem::path runtime{directory / "run"};
  const auto nothing = daemon_program::read_kept_records(runtime);
  REQUIRE(nothing);
  CHECK_FALSE(std::filesystem::exists(runtime));
  CHECK(daemon_program::check_upgrade(*nothing, "0.2").losses.empty());
  CHECK(daemon_program::check_upgrade(*nothing, "0.2").summary ==
        "no records of a daemon that runs; pcibackd 0.2 loses nothing");

  const auto journal = platform::linux_host::directory_records::open(runtime / "journal").value();
  REQUIRE(journal->write(card, text_of_record()));
  const auto held = platform::linux_host::directory_records::open(runtime / "held", ".held").value();
  platform::sim::host host;
  actors::function_record record = actors::parse_record(text_of_record()).value();
  platform::remote::holdings known{host, held};
  known.import(record.function);
  REQUIRE(held->names().value().size() == 2);
  const auto good = daemon_program::check_upgrade(daemon_program::read_kept_records(runtime).value(), "0.2");
  CHECK(good.losses.empty());
  CHECK(good.summary == "3 records, and pcibackd 0.2 takes over all that they say");

  REQUIRE(journal->write("0000:04:00.0", changed(text_of_record(), "\"version\":1", "\"version\":2")));
  REQUIRE(journal->write(
      "0000:05:00.0", changed(changed(text_of_record(), card, "0000:05:00.0"), "\"granted\"", "\"x\":1,\"granted\"")));
  REQUIRE(held->write("0000:06:00.0", "\2 another form"));
  const auto before = journal->names().value();
  const auto report = daemon_program::check_upgrade(daemon_program::read_kept_records(runtime).value(), "0.2");
  REQUIRE(report.losses.size() == 3);
  CHECK(has(report.losses[0],
            "0000:04:00.0: its record cannot be used (version 2, where this daemon knows 1); domain 12 keeps it"));
  CHECK(has(report.losses[1], "0000:05:00.0: what the journal says of it under \"x\" is forgotten"));
  CHECK(has(report.losses[2], "0000:06:00.0: what the process with rights has kept"));
  CHECK(has(report.summary, "6 records, of which pcibackd 0.2 does not take over all"));
  CHECK(journal->names().value() == before);
}
