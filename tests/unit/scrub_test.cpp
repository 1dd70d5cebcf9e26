#include "pci/protocol/scrub.hpp"

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
