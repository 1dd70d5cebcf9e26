// SPDX-License-Identifier: GPL-2.0-or-later
// What is seen of an actor from outside, and what is counted of guests' operations.
#include <vector>

#include <doctest/doctest.h>

#include "actors/look/happenings.hpp"
#include "actors/look/operation_meter.hpp"
#include "actors/look/pulse.hpp"

using namespace std::chrono_literals;
using actors::pulse;

TEST_CASE("an actor that has done all has nothing old, and answers") {
  pulse one(7, 3, false);
  one.is("device", "0000:03:00.0");
  one.set_state("held");
  one.arrived(100s);
  one.begins(100s);
  one.ends(101s);
  const auto seen = one.account(900s);
  CHECK(seen.id == 7);
  CHECK(seen.owner == 3);
  CHECK(seen.kind == "device");
  CHECK(seen.subject == "0000:03:00.0");
  CHECK(seen.state == "held");
  CHECK(seen.handled == 1);
  CHECK(seen.waiting == 0);
  CHECK_FALSE(seen.oldest);
  CHECK(seen.answers);
}

TEST_CASE("what waits is counted, and the oldest of it is what is not done with") {
  pulse one(1, 0, false);
  one.arrived(10s);
  one.arrived(11s);
  one.arrived(12s);
  CHECK(one.account(12s).waiting == 3);
  CHECK(one.account(12s).oldest == 2s);
  one.begins(13s);
  CHECK(one.account(14s).waiting == 2);
  CHECK(one.account(14s).oldest == 4s);
  one.ends(15s);
  CHECK(one.account(15s).waiting == 2);
  CHECK(one.account(15s).handled == 1);
  CHECK(one.account(15s).oldest == 4s); // the second
  one.begins(15s);
  one.ends(15s);
  one.begins(15s);
  one.ends(15s);
  CHECK_FALSE(one.account(16s).oldest);
}

TEST_CASE("an actor that hangs does not answer after a second, one that works for a command need not") {
  pulse one(1, 0, false);
  one.arrived(10s);
  one.begins(10s);
  CHECK(one.account(11s).answers);
  CHECK_FALSE(one.account(11s + 1ns).answers);
  one.is_passing();
  CHECK(one.account(1h).answers);
  CHECK_FALSE(one.account(1h).lasts);
}

TEST_CASE("of more messages than are remembered the age is at least that of the oldest that is") {
  pulse one(1, 0, false);
  for (int i = 0; i < 100; ++i) {
    one.arrived(std::chrono::seconds(i + 1));
  }
  CHECK(one.account(100s).waiting == 100);
  CHECK(one.account(100s).oldest == 63s); // the 37th of 100
  one.begins(100s);
  CHECK(one.account(101s).oldest == 64s);
}

TEST_CASE("a message that has counted before its time is known is no older than the last rest") {
  pulse one(1, 0, false);
  for (int i = 0; i < 64; ++i) { // each place has been used
    one.arrived(1s);
    one.begins(1s);
    one.ends(500s);
  }
  one.arrived(1s); // as if it stood there since the last time
  CHECK(one.account(501s).oldest == 1s);
}

TEST_CASE("a thread that is no actor has no mailbox, and is as old as its work") {
  pulse one(1, 0, true);
  one.begins(5s);
  CHECK(one.account(6s).oldest == 1s);
  CHECK(one.account(6s).waiting == 0);
  one.rests();
  CHECK_FALSE(one.account(6s).oldest);
  CHECK(one.account(6s).handled == 0);
}

TEST_CASE("operations of connections that have ended stay counted, and only once") {
  actors::operation_meters all;
  auto first = all.make();
  auto second = all.make();
  first->answered(0, pci::op_error::success);
  first->took(3us);
  second->answered(0, pci::op_error::success);
  second->answered(2, pci::op_error::op_failed);
  for (int i = 0; i < 3; ++i) {
    const auto now = all.count();
    CHECK(now.answered[0][0] == 2);
    CHECK(now.answered[2][5] == 1);
    CHECK(now.times[2] == 1);
    CHECK(now.taken == 3us);
    i == 0 ? first.reset() : second.reset();
  }
  all.make()->answered(0, pci::op_error::success);
  CHECK(all.count().answered[0][0] == 3);
}

TEST_CASE("whatever a guest asks is counted as something") {
  for (const std::uint32_t code : {0U, 5U, 6U, 10U, 11U, 0xffffffffU}) {
    CHECK(actors::kind_of_operation(code) == std::min(code, 6U));
  }
  for (const auto error : {pci::op_error::success, pci::op_error::dev_not_found, pci::op_error::invalid_offset,
                           pci::op_error::access_denied, pci::op_error::not_implemented, pci::op_error::op_failed}) {
    CHECK(actors::result_of_operation(error) < actors::operation_results.size());
  }
}

TEST_CASE("what happens is counted whether somebody listens or not") {
  actors::happenings all;
  all.tell({actors::happening::held, pci::make_sbdf(0, 3, 0, 0), {}, {}, {}, {}});
  std::vector<std::string> heard;
  all.listen([&heard](const actors::event& what) {
    heard.push_back(std::string{to_string(what.what)} + " " + what.detail);
    CHECK(what.when.time_since_epoch().count() != 0);
  });
  all.tell({actors::happening::held, {}, {}, {}, "again", {}});
  all.listen({});
  all.tell({actors::happening::ended, {}, {}, {}, {}, {}});
  CHECK(heard == std::vector<std::string>{"held again"});
  CHECK(all.count(actors::happening::held) == 2);
  CHECK(all.count(actors::happening::ended) == 1);
  CHECK(all.count(actors::happening::failed) == 0);
}
