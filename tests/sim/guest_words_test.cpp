// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/journal/guest_words.hpp"

#include <doctest/doctest.h>

#include "actors/journal/journal.hpp"
#include "counted_records.hpp"

using actors::guest_row;
using actors::guest_words;
using actors::saved_recovery;

namespace {

pci::sbdf function_number(std::size_t number) {
  return pci::make_sbdf(static_cast<std::uint16_t>(number >> 16), static_cast<std::uint8_t>(number >> 8),
                        static_cast<std::uint8_t>(number >> 3 & 0x1f), static_cast<std::uint8_t>(number & 7));
}

saved_recovery asked_recovery(pci::error_policy policy) {
  saved_recovery what;
  static_cast<void>(what.machine.error(pci::channel_state::frozen, {true, true, true}));
  what.policy = policy;
  what.asked = true;
  return what;
}

} // namespace

TEST_CASE("guest words: what one daemon wrote of a guest the next one reads, and of no other guest") {
  platform::memory_records records;
  const auto nic = function_number(0x18);
  pci::guest_state state;
  state.command = 0xfedc;
  state.sizing = 0x81;
  state.decoding = true;
  for (const auto policy : {pci::error_policy::kill, pci::error_policy::detach, pci::error_policy::log}) {
    {
      guest_words words(records.lasting().value());
      auto row = words.of(nic);
      row.keep(7, state);
      row.keep(7, asked_recovery(policy));
    }
    guest_words next(records.lasting().value());
    const auto row = next.of(nic);
    CHECK(row.state_of(7) == state);
    CHECK_FALSE(row.state_of(8));
    REQUIRE(row.recovery_of(7));
    CHECK(row.recovery_of(7)->policy == policy);
    CHECK(row.recovery_of(7)->asked);
    CHECK(row.recovery_of(7)->machine.current() == pci::recovery::state::detected);
    CHECK_FALSE(row.recovery_of(0x7007));
    CHECK_FALSE(next.of(function_number(0x19)).state_of(7));
  }
  guest_words last(records.lasting().value());
  last.of(nic).forget_recovery();
  CHECK_FALSE(last.of(nic).recovery_of(7));
  CHECK(last.of(nic).state_of(7) == state);
  last.forget(nic);
  CHECK_FALSE(last.of(nic).state_of(7)); // another function's row by now, as far as it knows
}

TEST_CASE("guest words: garbage says nothing, whatever it is") {
  platform::memory_records records;
  const auto all = records.lasting().value()->all();
  const auto nic = function_number(0x18);
  guest_words words(records.lasting().value());
  auto row = words.of(nic);
  for (std::uint64_t bit = 1; bit != 0; bit <<= 1) {
    for (std::size_t at = 0; at < 4; ++at) {
      all[at] ^= bit;
    }
    CHECK_FALSE(row.state_of(7));
    CHECK_FALSE(row.recovery_of(7));
  }
  row.keep(7, asked_recovery(pci::error_policy::kill));
  const auto good = all[2].load();
  for (std::uint64_t bit = 1U << 17; bit != 1U << 24; bit <<= 1) { // no policy has that number
    all[2] = good | bit;
    CHECK((!row.recovery_of(7) || (bit == 1U << 17 && row.recovery_of(7)->policy == pci::error_policy::log)));
  }
}

TEST_CASE("guest words: there are rows for a thousand functions, and those beyond them have none") {
  platform::memory_records records;
  guest_words words(records.lasting().value());
  pci::guest_state state;
  for (std::size_t number = 0; number < guest_words::rows; ++number) {
    state.command = static_cast<std::uint16_t>(number);
    words.of(function_number(number)).keep(1, state);
  }
  CHECK(guest_words::rows >= 1000);
  words.of(function_number(guest_words::rows)).keep(1, state);
  CHECK_FALSE(words.of(function_number(guest_words::rows)).state_of(1));
  for (std::size_t number = 0; number < guest_words::rows; ++number) {
    REQUIRE(words.of(function_number(number)).state_of(1)->command == number);
  }
  words.forget(function_number(500));
  words.of(function_number(guest_words::rows)).keep(1, state);
  CHECK(words.of(function_number(guest_words::rows)).state_of(1));
}

TEST_CASE("guest words: where there is no memory that lasts, nothing is kept, and the journal works") {
  const auto records = std::make_shared<test::counted_records>();
  records->failing = true;
  actors::journal journal(records);
  auto row = journal.row(function_number(0x18));
  row.keep(7, pci::guest_state{});
  row.keep(7, asked_recovery(pci::error_policy::kill));
  CHECK_FALSE(row.state_of(7));
  CHECK_FALSE(row.recovery_of(7));
  journal.forget(function_number(0x18));
}
