#include <cerrno>

#include <doctest/doctest.h>

#include "sim/sim_support.hpp"

using namespace sim_test;

namespace {

struct two_domains {
  sim::host host;
  recording_sink sink;
  domain_id guest = host.create_domain("g");
  std::uint32_t remote = *host.channels().allocate_unbound(guest);

  two_domains() { REQUIRE(host.start(sink)); }
  ~two_domains() { host.stop(); }
  using ports = std::vector<port>;
};

} // namespace

TEST_CASE_FIXTURE(two_domains, "a bound port fires once at once and is masked until it is unmasked") {
  const auto local = *host.channels().bind_interdomain(guest, remote);
  CHECK(sink.ports == ports{local});
  for (int i = 0; i < 3; ++i)
    REQUIRE(host.channels().send(guest, remote));
  CHECK(sink.ports.size() == 1);
  host.channels().unmask(local);
  CHECK(sink.ports.size() == 2); // three became one
  host.channels().unmask(local);
  CHECK(sink.ports.size() == 2);
  REQUIRE(host.channels().send(guest, remote));
  CHECK(sink.ports.size() == 3);
}

TEST_CASE_FIXTURE(two_domains, "only an unbound port of that domain for dom0 can be bound") {
  CHECK(error_of(host.channels().bind_interdomain(guest, remote + 1)) == EINVAL);
  CHECK(error_of(host.channels().bind_interdomain(99, remote)) == ESRCH);
  const auto for_other = *host.channels().allocate_unbound(guest, 7);
  CHECK(error_of(host.channels().bind_interdomain(guest, for_other)) == EINVAL);
  const auto local = *host.channels().bind_interdomain(guest, remote);
  CHECK(error_of(host.channels().bind_interdomain(guest, remote)) == EINVAL);
  host.channels().unbind(local);
  CHECK(host.channels().bind_interdomain(guest, remote));
}

TEST_CASE_FIXTURE(two_domains, "notifying a closed peer succeeds and reaches nobody") {
  const auto local = *host.channels().bind_interdomain(guest, remote);
  const auto pending = host.channels().pending(guest, remote);
  REQUIRE(host.channels().notify(local));
  CHECK(*pending);
  *pending = false;
  host.channels().close(guest, remote);
  CHECK(host.channels().notify(local));
  CHECK_FALSE(*pending);
  host.channels().unbind(local);
  CHECK(error_of(host.channels().notify(local)) == EINVAL);
}

TEST_CASE_FIXTURE(two_domains, "when the daemon ends its peers can be bound again") {
  REQUIRE(host.channels().bind_interdomain(guest, remote));
  host.end_daemon();
  CHECK(host.channels().bound() == 0);
  sink.ports.clear();
  const auto again = *host.channels().bind_interdomain(guest, remote);
  CHECK(sink.ports.empty());
  REQUIRE(host.start(sink));
  CHECK(sink.ports == ports{again}); // what came before the start is told then
}

TEST_CASE_FIXTURE(two_domains, "a grant is mapped by whom it was made for, read-write") {
  auto page = std::make_shared<sim::guest_page>();
  const auto reference = host.grant_table().grant(guest, page);
  const auto mapped = host.grant_table().map(guest, reference);
  REQUIRE(mapped);
  CHECK((*mapped)->address() == page->bytes.data());
  CHECK_FALSE(host.grant_table().revoke(guest, reference));
  CHECK(error_of(host.grant_table().map(guest, 4711)) == EINVAL);
  CHECK(error_of(host.grant_table().map(99, reference)) == ESRCH);
  CHECK(error_of(host.grant_table().map(guest, host.grant_table().grant(guest, page, 7))) == EACCES);
  CHECK(error_of(host.grant_table().map(guest, host.grant_table().grant(guest, page, 0, true))) == EACCES);
}

TEST_CASE_FIXTURE(two_domains, "a mapping keeps the dead domain") {
  const auto reference = host.grant_table().grant(guest, std::make_shared<sim::guest_page>());
  auto mapped = *host.grant_table().map(guest, reference);
  host.destroy(guest);
  REQUIRE(host.xen().domain(guest));
  CHECK(host.xen().domain(guest)->dying);
  CHECK(error_of(host.grant_table().map(guest, reference)) == EINVAL);
  CHECK(*static_cast<std::byte*>(mapped->address()) == std::byte{0}); // still memory
  mapped.reset();
  CHECK_FALSE(host.xen().domain(guest));
}

TEST_CASE_FIXTURE(two_domains, "nothing is told after stop") {
  host.stop();
  REQUIRE(host.channels().bind_interdomain(guest, remote));
  REQUIRE(host.xenstore().watch("/local", "t"));
  CHECK(sink.ports.empty());
  CHECK(sink.changes.empty());
}
