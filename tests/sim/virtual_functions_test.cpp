// SPDX-License-Identifier: GPL-2.0-or-later
// SR-IOV: virtual functions come and go with their physical function's driver, which dom0 keeps.
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using messages::function_state;
using platform::sim::builtin_model;
using platform::sim::driver;
using platform::sim::frontend;
using platform::sim::place;

TEST_SUITE_BEGIN("deterministic");

namespace {

const auto physical = pci::make_sbdf(0, 2, 0, 0);
const auto first = pci::make_sbdf(0, 2, 0, 1);
const auto second = pci::make_sbdf(0, 2, 0, 2);
const auto unknown = pci::sbdf{};

/// All that appears beside the physical function is held.
actors::settings virtual_ones() {
  actors::settings settings;
  settings.own(physical).hold = false;
  settings.devices.emplace_back().match = pci::parse_pattern("02:00.*").value();
  return settings;
}

struct sriov_card : two_cards {
  sriov_card() : two_cards(virtual_ones()) {
    host.add_function(place(*builtin_model("nvme"), physical), "nvme");
    REQUIRE(host.set_virtual_functions(physical, 2));
    run();
  }
  void set_memory_decode(bool on) {
    const auto command = hardware(physical, 4, 2);
    REQUIRE(host.xen().config_write(physical, 0, 4, 2, on ? command | 2U : command & ~2U));
  }
};

/// Two guests, each with one of the virtual functions and its MSI-X on.
struct guests_of_two : sriov_card {
  guests_of_two()
      : one(boot("one", {first})), two(boot("two", {second})), guest_one(host, one, *this),
        guest_two(host, two, *this) {
    for (auto* guest : {&guest_one, &guest_two}) {
      REQUIRE(guest->connect());
      REQUIRE(guest->functions().size() == 1);
      REQUIRE(driver(*guest, guest->functions().front().address).probe(2));
    }
  }
  domain_id one, two;
  frontend guest_one, guest_two;
};

} // namespace

TEST_CASE("the capability of a physical function says where its virtual ones are") {
  platform::sim::host host;
  CHECK_FALSE(host.set_virtual_functions(physical, 1));
  host.add_function(place(*builtin_model("nvme"), physical));
  CHECK_FALSE(host.set_virtual_functions(physical, 3));
  CHECK(host.set_virtual_functions(physical, 1));
  CHECK(host.pci().list() == std::vector{physical, first});
  CHECK(host.set_virtual_functions(physical, 2));
  const auto made = host.pci().describe(second);
  REQUIRE(made);
  CHECK(made->physical_function == physical);
  CHECK(made->irq == 0);
  CHECK(made->copy(0, 4) == 0xffffffff);
  CHECK(made->vendor == 0x1b36);
  CHECK(made->device == 0x0010);
  CHECK(made->resources[0].start == host.pci().describe(first)->resources[0].end + 1);
  CHECK(host.set_virtual_functions(physical, 0));
  CHECK(host.pci().list() == std::vector{physical});
}

TEST_CASE_FIXTURE(sriov_card, "virtual functions that appear are held, their physical function is not") {
  for (const auto& address : {first, second}) {
    const auto seen = function(address);
    CHECK(seen.state == function_state::held);
    CHECK(seen.vendor == 0x1b36);
    CHECK(seen.device == 0x0010);
    CHECK(seen.gsi == 0);
    CHECK(host.xen().facts(address)->prepared);
  }
  CHECK(function(physical).address == unknown);
  CHECK(host.xen().facts(physical)->driver == "nvme");
}

TEST_CASE_FIXTURE(guests_of_two, "two guests have a virtual function each, with MSI-X and without a line") {
  for (const auto& [guest, address, domain] :
       {std::tuple{&guest_one, first, one}, std::tuple{&guest_two, second, two}}) {
    const auto& seen = guest->functions().front();
    CHECK(seen.vendor == 0x1b36);
    CHECK(seen.device == 0x0010);
    CHECK(seen.interrupt_line == 0);
    CHECK(seen.interrupt_pin == 0);
    CHECK(seen.bars.front() == (hardware(physical, 0x144, 4) & ~0xfU) + (address == second ? 0x4000U : 0U) + 4U);
    CHECK(function(address).mode == pci::interrupt_mode::msix);
    CHECK(function(address).vectors.size() == 1);
    CHECK(function(address).line == pci::line_decision::no_line);
    CHECK(host.xen().holdings(domain).message_pirqs.size() == 1);
    CHECK(host.xen().holdings(domain).line_pirqs.empty());
    CHECK(host.xen().raise(address, 0));
  }
  host.toolstack_destroy(one);
  run();
  check_clean(first);
  check_forgotten(one);
  CHECK(function(second).vectors.size() == 1);
  CHECK(host.xen().raise(second, 0));
}

TEST_CASE_FIXTURE(sriov_card, "without its physical function's memory decode a virtual one has no MSI-X") {
  const auto domain = boot("guest", {first});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  const auto seen = guest.functions().front().address;
  set_memory_decode(false);
  CHECK(guest.enable_msix(seen, {0}).error == -5); // op_failed
  CHECK(host.xen().holdings(domain).message_pirqs.empty());
  CHECK_FALSE(host.xen().facts(first)->poisoned);
  set_memory_decode(true);
  CHECK(guest.enable_msix(seen, {0}).good());

  // Nor can one be held: Xen would poison it.
  REQUIRE(release(second));
  set_memory_decode(false);
  const auto refused = hold(second);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().context.find("0000:02:00.0 does not decode memory") != std::string::npos);
  CHECK_FALSE(host.xen().facts(second)->poisoned);
  set_memory_decode(true);
  CHECK(hold(second));
}

TEST_CASE_FIXTURE(sriov_card, "virtual functions of one card stand in one slot of their guest") {
  const auto domain = boot("guest", {first, second});
  CHECK(backend(domain, "vdev-0") == "0000:00:00.00"); // there is no other function 0
  CHECK(backend(domain, "vdev-1") == "0000:00:00.02");
}

TEST_CASE_FIXTURE(sriov_card, "a physical function is not taken from under its virtual ones") {
  const auto refused = hold(physical);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error == EBUSY);
  CHECK(refused.error().context.find("0000:02:00.1") != std::string::npos);
  CHECK(host.xen().facts(physical)->driver == "nvme");
  REQUIRE(host.set_virtual_functions(physical, 0));
  run();
  CHECK(hold(physical));
}

TEST_CASE_FIXTURE(guests_of_two, "the driver goes and takes its virtual functions along") {
  host.toolstack_destroy(two);
  run();
  check_clean(second);
  host.unbind_driver(physical, true);
  run();
  // One goes after the other, and the first waits for its guest.
  CHECK(host.xen().facts(first));
  CHECK(host.xen().facts(second));
  CHECK(host.xen().facts(physical)->driver == "nvme");
  CHECK(function(first).state == function_state::leased);
  CHECK(function(first).guard == pci::guard_state::holding);
  CHECK(guest_one.read(guest_one.functions().front().address, 0, 4).good());
  REQUIRE(serve(guest_one, [&] { return function(second).address == unknown; }));
  REQUIRE(serve(guest_one, [&] { return function(first).address == unknown; }));
  CHECK(serve(guest_one, [&] { return guest_one.unplugged(); }));
  CHECK(host.xen().holdings(one).message_pirqs.empty());
  CHECK_FALSE(backend_exists(one));

  // They come again with the driver, and are held again.
  host.pci().bind_driver(physical, "nvme", false);
  REQUIRE(host.set_virtual_functions(physical, 2));
  run();
  check_clean(first);
  check_clean(second);
}

TEST_CASE_FIXTURE(guests_of_two, "the driver goes and leaves its virtual functions behind") {
  host.toolstack_destroy(two);
  run();
  check_clean(second);
  host.unbind_driver(physical, false);
  run();
  CHECK(function(second).address == unknown);
  CHECK(host.xen().facts(second)->driver.empty());
  CHECK(function(first).state == function_state::leased);
  REQUIRE(serve(guest_one, [&] { return function(first).address == unknown; }));
  CHECK(serve(guest_one, [&] { return guest_one.unplugged(); }));
  CHECK(host.xen().facts(first)->driver.empty());
  CHECK(host.xen().facts(first)->vectors == 0);
  CHECK_FALSE(msix_on(first));
  CHECK_FALSE(masters(first));
}

TEST_CASE_FIXTURE(guests_of_two, "virtual functions go while their guests do not answer, and while one is dying") {
  guest_one.withhold(true);
  host.destroy(two);
  host.unbind_driver(physical, true);
  REQUIRE(serve(
      guest_one, [&] { return function(first).address == unknown && function(second).address == unknown; }, 40s));
  CHECK(host.xen().holdings(one).message_pirqs.empty());
  host.toolstack_destroy(two);
  host.toolstack_destroy(one);
  run();
  advance(20s);
  check_forgotten(one);
  check_forgotten(two);
}

TEST_SUITE_END();
