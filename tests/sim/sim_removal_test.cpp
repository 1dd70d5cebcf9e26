// SPDX-License-Identifier: GPL-2.0-or-later
// The simulated Xen and kernel when a function goes: as deadly as the real ones, and held up by a guard.
#include <doctest/doctest.h>

#include "platform/sim/host.hpp"
#include "sim_support.hpp"

using namespace sim_test;

namespace {

struct removable : recording_sink {
  removable() {
    host.add_function(model("e1000e", slot3), "pci-stub");
    domain = host.create_domain("guest");
    REQUIRE(host.xen().assign(domain, slot3, pci::rdm_policy::strict));
    pirq = *host.xen().map_msi(domain, slot3);
    REQUIRE(host.xen().bind_pirq(domain, pirq));
    REQUIRE(host.start(*this));
  }
  ~removable() override { host.stop(); }
  void driver_unbound(const pci::sbdf& address) override { unbound.push_back(address); }
  void removal_waits(const pci::sbdf& address) override { waiting.push_back(address); }
  void check_dead() const {
    REQUIRE(seen.texts.size() == 1);
    CHECK(seen.texts[0].find("Xen panics") != std::string::npos);
  }
  violations seen;
  sim::host host;
  domain_id domain = 0;
  std::uint16_t pirq = 0;
  std::vector<pci::sbdf> unbound, waiting;
};

} // namespace

TEST_CASE_FIXTURE(removable, "a function that goes with its interrupts mapped leaves them behind, deadly") {
  CHECK(host.remove_function(slot3));
  CHECK(removed == std::vector{slot3});
  CHECK(seen.texts.empty()); // not yet
  SUBCASE("the guest closes its event channel") { host.xen().unbind_pirq(domain, pirq); }
  SUBCASE("it is unmapped after all") { static_cast<void>(host.xen().unmap_pirq(domain, pirq)); }
  SUBCASE("the guest is destroyed") { host.destroy(domain); }
  check_dead();
}

TEST_CASE_FIXTURE(removable, "a function that goes without interrupts leaves nothing behind") {
  host.xen().unbind_pirq(domain, pirq);
  REQUIRE(host.xen().unmap_pirq(domain, pirq));
  CHECK(host.remove_function(slot3));
  host.destroy(domain);
  CHECK(seen.texts.empty());
}

TEST_CASE_FIXTURE(removable, "the removal of a guarded function waits, and all that come after it") {
  host.add_function(model("nvme", slot4));
  REQUIRE(host.guards().arm(slot3));
  CHECK(host.guards().state(slot3) == pci::guard_state::armed);
  CHECK(host.remove_function(slot3));
  CHECK(host.remove_function(slot4));
  CHECK(unbound == std::vector{slot3});
  CHECK(waiting == std::vector{slot3});
  CHECK(removed.empty());
  CHECK(host.guards().state(slot3) == pci::guard_state::holding);
  CHECK(host.xen().facts(slot3)->driver.empty());
  host.add_function(model("e1000", slot3)); // which waits as well
  CHECK(host.pci().describe(slot3)->device == 0x10d3);

  REQUIRE(host.xen().unmap_pirq(domain, pirq));
  host.guards().release(slot3);
  CHECK(removed == std::vector{slot3, slot4});
  CHECK(host.guards().state(slot3) == pci::guard_state::none);
  CHECK(host.pci().describe(slot3)->device == 0x100e);
  host.destroy(domain);
  CHECK(seen.texts.empty());
}

TEST_CASE_FIXTURE(removable, "a guard holds nothing up when its keeper ends, or when a removal has waited too long") {
  REQUIRE(host.guards().arm(slot3));
  SUBCASE("the keeper ends") {
    host.guards().lose();
    CHECK(host.guards().state(slot3) == pci::guard_state::unguarded);
    CHECK(host.remove_function(slot3));
  }
  SUBCASE("it waits too long") {
    CHECK(host.remove_function(slot3));
    CHECK(removed.empty());
    host.guards().let_go();
    CHECK(host.guards().state(slot3) == pci::guard_state::let_go);
  }
  CHECK(removed == std::vector{slot3});
  host.destroy(domain);
  check_dead();
}

TEST_CASE_FIXTURE(removable, "who comes later is told of the removals that wait") {
  REQUIRE(host.guards().arm(slot3));
  host.end_daemon();
  CHECK(host.remove_function(slot3));
  CHECK(waiting.empty());
  REQUIRE(host.start(*this));
  CHECK(waiting == std::vector{slot3});
  REQUIRE(host.xen().unmap_pirq(domain, pirq));
  host.guards().release(slot3);
  CHECK(removed == std::vector{slot3});
}

TEST_CASE("where the kernel has no means, nothing is guarded") {
  sim::host host;
  host.guards().set_possible(false);
  CHECK(error_of(host.guards().arm(slot3)) == ENOTSUP);
  CHECK(host.guards().state(slot3) == pci::guard_state::unguarded);
  host.guards().release(slot3);
  CHECK(host.guards().guarded().empty());
}

TEST_CASE_FIXTURE(removable, "a domain that is paused is") {
  REQUIRE(host.xen().pause(domain));
  CHECK(host.xen().domain(domain)->paused);
  CHECK(error_of(host.xen().pause(77)) == ESRCH);
}
