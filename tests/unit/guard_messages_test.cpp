// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>

#include <doctest/doctest.h>

#include "pci/protocol/guard_messages.hpp"

using pci::guard_news;
using pci::guard_request;

namespace {

const auto card = pci::make_sbdf(0x12, 3, 0x1f, 7);

} // namespace

TEST_CASE("what is asked of the keeper of removal guards is read as it is written") {
  using verb = guard_request::verb;
  for (const auto what : {verb::arm, verb::release, verb::look, verb::list, verb::watch, verb::suspend, verb::resume,
                          verb::keep, verb::take, verb::drop}) {
    const bool named = what != verb::list && what != verb::watch && what != verb::suspend && what != verb::resume;
    const guard_request asked{what, named ? card : pci::sbdf{}};
    CHECK(pci::parse_guard_request(pci::to_text(asked)) == asked);
    CHECK(pci::to_text(asked).size() <= pci::guard_packet_size);
  }
  CHECK(pci::to_text(guard_request{verb::arm, card}) == "arm 0012:03:1f.7");
  CHECK(pci::to_text(guard_request{verb::list, {}}) == "list");
}

TEST_CASE("what the keeper of removal guards says is read as it is written") {
  using kind = guard_news::kind;
  for (const auto what :
       {kind::armed, kind::waits, kind::released, kind::failed, kind::let_go, kind::kept, kind::dropped}) {
    const guard_news said{what, card, what == kind::failed ? ENOENT : 0};
    CHECK(pci::parse_guard_news(pci::to_text(said)) == said);
  }
  for (const auto what : {kind::listed, kind::suspended, kind::resumed}) {
    CHECK(pci::parse_guard_news(pci::to_text({what, {}, 0})) == guard_news{what, {}, 0});
  }
  CHECK(pci::to_text(guard_news{kind::failed, card, 38}) == "failed 0012:03:1f.7 38");
}

TEST_CASE("anything else about removal guards is refused") {
  for (const std::string text : {"", " ", "arm", "arm ", "arm 03:1f.7", "arm 0012:03:1f.8", "arm 0012:03:1F.7",
                                 "arm  0012:03:1f.7", "arm 0012:03:1f.7 ", "arm 0012:03:1f.7 1", "list 0012:03:1f.7",
                                 "lists", "ARM 0012:03:1f.7", "armed 0012:03:1f.7"}) {
    CAPTURE(text);
    const auto read = pci::parse_guard_request(text);
    REQUIRE_FALSE(read);
    CHECK(read.error().error == EPROTO);
  }
  for (const std::string text :
       {"failed 0012:03:1f.7", "failed 0012:03:1f.7 ", "failed 0012:03:1f.7 0", "failed 0012:03:1f.7 -1",
        "failed 0012:03:1f.7 4096", "failed 0012:03:1f.7 2 2", "failed 0012:03:1f.7 2x", "armed 0012:03:1f.7 2",
        "listed 0012:03:1f.7", "arm 0012:03:1f.7"}) {
    CAPTURE(text);
    CHECK_FALSE(pci::parse_guard_news(text));
  }
  CHECK_FALSE(pci::parse_guard_request(std::string("list\0", 5)));
  CHECK_FALSE(pci::parse_guard_request(std::string(1000, 'a')));
}
