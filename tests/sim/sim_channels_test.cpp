// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <functional>
#include <optional>
#include <thread>

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
  std::unique_ptr<event_channel> bind() { return std::move(host.channels().bind_interdomain(guest, remote).value()); }
};

} // namespace

TEST_CASE_FIXTURE(two_domains, "a bound channel fires once at once and is masked until it is unmasked") {
  const auto local = bind();
  CHECK(*local->wait());
  CHECK_FALSE(*local->wait());
  for (int i = 0; i < 3; ++i)
    REQUIRE(host.channels().send(guest, remote));
  CHECK_FALSE(*local->wait());
  local->unmask();
  CHECK(*local->wait()); // three became one
  local->unmask();
  CHECK_FALSE(*local->wait());
  REQUIRE(host.channels().send(guest, remote));
  CHECK(*local->wait());
}

TEST_CASE_FIXTURE(two_domains, "only an unbound port of that domain for dom0 can be bound") {
  CHECK(error_of(host.channels().bind_interdomain(guest, remote + 1)) == EINVAL);
  CHECK(error_of(host.channels().bind_interdomain(99, remote)) == ESRCH);
  const auto for_other = *host.channels().allocate_unbound(guest, 7);
  CHECK(error_of(host.channels().bind_interdomain(guest, for_other)) == EINVAL);
  auto local = bind();
  CHECK(error_of(host.channels().bind_interdomain(guest, remote)) == EINVAL);
  local->unbind();
  auto second = bind();
  local.reset(); // does not take the other's binding
  CHECK(error_of(host.channels().bind_interdomain(guest, remote)) == EINVAL);
  second.reset();
  CHECK(host.channels().bind_interdomain(guest, remote));
}

TEST_CASE_FIXTURE(two_domains, "notifying a closed peer succeeds and reaches nobody") {
  const auto local = bind();
  const auto pending = host.channels().pending(guest, remote);
  REQUIRE(local->notify());
  CHECK(*pending);
  *pending = false;
  host.channels().close(guest, remote);
  CHECK(local->notify());
  CHECK_FALSE(*pending);
  local->unbind();
  CHECK(error_of(local->notify()) == EINVAL);
}

TEST_CASE_FIXTURE(two_domains, "when the daemon ends its peers can be bound again") {
  const auto lost = bind();
  host.end_daemon();
  CHECK(host.channels().bound() == 0);
  CHECK(error_of(lost->notify()) == EINVAL);
  const auto again = bind();
  CHECK(*again->wait());
}

TEST_CASE("a thread that waits for a channel is ended by an event, by being woken and by the channel's end") {
  sim::host host{sim::clock::kind::real};
  const auto guest = host.create_domain("g");
  const auto remote = *host.channels().allocate_unbound(guest);
  const auto local = std::move(host.channels().bind_interdomain(guest, remote).value());
  REQUIRE(*local->wait());
  local->unmask();
  const auto during_wait = [&](const std::function<void()>& what) {
    std::optional<bool> fired;
    std::thread waits([&] { fired = *local->wait(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    what();
    waits.join();
    return fired;
  };
  CHECK(during_wait([&] { REQUIRE(host.channels().send(guest, remote)); }) == true);
  CHECK(during_wait([&] { local->wake(); }) == false);
  CHECK(during_wait([&] { local->unbind(); }) == false);
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
  REQUIRE(host.xenstore().watch("/local", "t"));
  CHECK(sink.changes.empty());
}
