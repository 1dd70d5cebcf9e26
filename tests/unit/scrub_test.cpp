// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/scrub.hpp"

#include <algorithm>
#include <array>

#include <doctest/doctest.h>

using namespace pci;

namespace {

constexpr std::array order{scrub_step::quiesce,  scrub_step::end_messages, scrub_step::revoke,
                           scrub_step::withdraw, scrub_step::await_pirqs,  scrub_step::reset,
                           scrub_step::restore,  scrub_step::renew_msix,   scrub_step::quarantine,
                           scrub_step::verify};

} // namespace

TEST_CASE("scrub: every combination of steps that succeed and fail") {
  for (unsigned bits = 0; bits < 1024; ++bits) {
    scrub scrub;
    for (std::size_t i = 0; i < order.size(); ++i) {
      CHECK(scrub.current() == order[i]); // whatever failed before, the next step follows
      CHECK(!scrub.finished());
      scrub.advance((bits >> i & 1) != 0);
    }
    CHECK(scrub.finished());
    const bool clean = bits == 1023; // one step that failed is enough
    CHECK(scrub.current() == (clean ? scrub_step::done : scrub_step::failed));
    for (const bool succeeded : {true, false}) {
      scrub.advance(succeeded);
      CHECK(scrub.current() == (clean ? scrub_step::done : scrub_step::failed)); // the end is the end
    }
  }
}

TEST_CASE("scrub: names of the steps") {
  CHECK(to_string(scrub_step::quiesce) == "quiesce");
  CHECK(to_string(scrub_step::end_messages) == "end_messages");
  CHECK(to_string(scrub_step::revoke) == "revoke");
  CHECK(to_string(scrub_step::withdraw) == "withdraw");
  CHECK(to_string(scrub_step::await_pirqs) == "await_pirqs");
  CHECK(to_string(scrub_step::reset) == "reset");
  CHECK(to_string(scrub_step::restore) == "restore");
  CHECK(to_string(scrub_step::renew_msix) == "renew_msix");
  CHECK(to_string(scrub_step::quarantine) == "quarantine");
  CHECK(to_string(scrub_step::verify) == "verify");
  CHECK(to_string(scrub_step::done) == "done");
  CHECK(to_string(scrub_step::failed) == "failed");
}

TEST_CASE("scrub: a failed one goes on where it failed, or where what follows depends on it") {
  for (std::size_t failed = 0; failed < order.size(); ++failed) {
    scrub scrub;
    for (std::size_t i = 0; i < order.size(); ++i)
      scrub.advance(i < failed);
    REQUIRE(scrub.current() == scrub_step::failed);
    CHECK(scrub.first_failure() == order[failed]);
    auto next = scrub.again();
    CHECK_FALSE(next.first_failure());
    CHECK(next.current() == std::min(order[failed], scrub_step::restore));
    while (!next.finished())
      next.advance(true);
    CHECK(next.current() == scrub_step::done); // what failed has been done
  }
}

TEST_CASE("scrub: the waits between the tries grow, and end within a few seconds") {
  std::chrono::milliseconds all{0}, last{0};
  unsigned tries = 1;
  for (; const auto wait = wait_before_retry(tries); ++tries) {
    CHECK(*wait > last);
    last = *wait;
    all += *wait;
  }
  CHECK(tries > 2);
  CHECK(all > std::chrono::seconds(2));
  CHECK(all < std::chrono::seconds(5));
  CHECK_FALSE(wait_before_retry(0));
  CHECK_FALSE(wait_before_retry(1000));
}
