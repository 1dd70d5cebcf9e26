// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>

#include <doctest/doctest.h>

#include "pci/config_space/registers.hpp"
#include "sim/sim_support.hpp"

using namespace sim_test;
namespace reg = pci::reg;

namespace {

/// An e1000e that is held and prepared, and a guest that has it.
struct small_host {
  sim::host host;
  recording_sink sink;
  sim::hypervisor& xen = host.xen();
  pci::sbdf nic = slot3;
  std::uint64_t table = 0;
  std::unique_ptr<pci::config_port> port;
  domain_id guest = host.create_domain("g");

  small_host() {
    host.add_function(model("e1000e", nic));
    REQUIRE(host.start(sink));
    REQUIRE(host.pci().hold(nic, holder::stub, false));
    port = *host.pci().open_config(nic);
    table = host.pci().describe(nic)->resources[3].start;
    REQUIRE(prepare());
    REQUIRE(xen.assign(guest, nic, strict));
  }
  ~small_host() { host.stop(); }

  msix_function function() { return *msix_function::seen_in(*host.pci().describe(nic)); }
  pci::result<void> prepare() { return xen.prepare_msix(function()); }
  pci::result<void> release() { return xen.release_msix(function()); }
  pci::result<std::uint16_t> map(std::uint16_t entry = 0) { return xen.map_msix(guest, nic, entry, table); }
  void command(std::uint16_t value) { REQUIRE(port->write(reg::command, 2, value)); }
  void control(std::uint16_t value) { REQUIRE(port->write(0xa2, 2, value)); }
  std::uint32_t control() { return *port->read(0xa2, 2); }
};

} // namespace

TEST_CASE_FIXTURE(small_host, "pirqs are numbered downwards from the last, and run out") {
  CHECK(map(0) == 55);
  CHECK(map(1) == 54);
  CHECK(map(1) == 53); // the same entry again is another pirq
  CHECK(xen.map_msi(guest, nic) == 52);
  for (int i = 4; i < 32; ++i)
    REQUIRE(map(2));
  CHECK(error_of(map()) == ENOSPC);
  CHECK(error_of(xen.map_msi(guest, nic)) == ENOSPC);
  REQUIRE(xen.unmap_pirq(guest, 40));
  CHECK(map() == 40);
}

TEST_CASE_FIXTURE(small_host, "map_pirq refuses with Xen's numbers") {
  const auto other = host.create_domain("other");
  CHECK(error_of(xen.map_msix(other, nic, 0, table)) == ENODEV);
  CHECK(error_of(xen.map_msi(other, nic)) == ENODEV);
  CHECK(error_of(xen.map_msi(99, nic)) == ESRCH);
  CHECK(error_of(xen.map_msix(99, nic, 0, table)) == ESRCH);
  CHECK(error_of(xen.map_msi(guest, slot4)) == ENODEV);
  CHECK(error_of(map(5)) == EINVAL);
  CHECK(error_of(xen.map_msix(guest, nic, 0, 0)) == EINVAL);
  CHECK(error_of(xen.map_msix(guest, nic, 0, table + 0x1000)) == EINVAL);
  CHECK(error_of(xen.unmap_pirq(guest, 55)) == EINVAL);
  CHECK(error_of(xen.unmap_pirq(99, 55)) == ESRCH);
  CHECK(xen.holdings(guest).message_pirqs.empty());
  xen.fail_next(EIO, 1);
  CHECK(map());
  CHECK(error_of(map()) == EIO);
}

TEST_CASE_FIXTURE(small_host, "preparing twice and releasing with vectors mapped are refused") {
  CHECK(error_of(prepare()) == EBUSY);
  REQUIRE(map());
  CHECK(error_of(release()) == EBUSY);
  REQUIRE(xen.unmap_pirq(guest, 55));
  CHECK(release());
  CHECK(error_of(release()) == EBUSY);
}

TEST_CASE("a function that was never prepared gives ENODATA") {
  sim::host host;
  host.add_function(model("e1000e", slot3));
  REQUIRE(host.pci().hold(slot3, holder::stub, false));
  const auto guest = host.create_domain("g");
  REQUIRE(host.xen().assign(guest, slot3, strict));
  const auto table = host.pci().describe(slot3)->resources[3].start;
  CHECK(error_of(host.xen().map_msix(guest, slot3, 0, table)) == ENODATA);
}

TEST_CASE_FIXTURE(small_host, "a map after a release would crash the domain") {
  REQUIRE(release());
  violations seen;
  CHECK_FALSE(map());
  REQUIRE(seen.texts.size() == 1);
  CHECK(seen.texts[0].find("crashes the domain") != std::string::npos);
}

TEST_CASE_FIXTURE(small_host, "prepare_msix without the capability would panic the host") {
  const auto looked = function(); // then another card is plugged in there
  REQUIRE(host.remove_function(nic));
  CHECK(error_of(xen.prepare_msix(looked)) == ENODEV);
  host.add_function(model("e1000", nic));
  violations seen;
  CHECK_FALSE(xen.prepare_msix(looked));
  CHECK_FALSE(xen.release_msix(looked));
  REQUIRE(seen.texts.size() == 2);
  CHECK(seen.texts[0].find("Xen panics") != std::string::npos);
}

TEST_CASE_FIXTURE(small_host, "a map with memory decode off poisons the function until it is prepared anew") {
  REQUIRE(map(0) == 55);
  command(0);
  CHECK(error_of(map(1)) == ENXIO);
  CHECK(xen.facts(nic)->poisoned);
  command(reg::command_memory | reg::command_master);
  CHECK(map(1) == 54);
  control(reg::msix_enable);
  CHECK(control() == 0xc004); // stuck
  REQUIRE(xen.unmap_pirq(guest, 55));
  REQUIRE(xen.unmap_pirq(guest, 54));
  REQUIRE(release());
  REQUIRE(prepare());
  CHECK_FALSE(xen.facts(nic)->poisoned);
  REQUIRE(map(0) == 55);
  control(reg::msix_enable);
  CHECK(control() == 0x8004);
}

TEST_CASE_FIXTURE(small_host, "an unmap with memory decode off succeeds and poisons; assigning is then refused") {
  REQUIRE(map() == 55);
  command(0);
  CHECK(xen.unmap_pirq(guest, 55));
  CHECK(xen.facts(nic)->poisoned);
  CHECK((control() & reg::msix_mask_all) != 0);
  REQUIRE(xen.deassign(guest, nic));
  CHECK(error_of(xen.assign(guest, nic, strict)) == EBUSY);
  command(reg::command_memory);
  REQUIRE(release());
  REQUIRE(prepare());
  control(0);
  CHECK(xen.assign(guest, nic, strict));
}

TEST_CASE_FIXTURE(small_host, "MSI-X control is written by 16 bits or not at all") {
  REQUIRE(port->write(0xa0, 4, 0x80000000));
  CHECK(control() == 0x0004);
  REQUIRE(port->write(0xa3, 1, 0x80));
  CHECK(control() == 0x0004);
  control(0x8000);
  CHECK(control() == 0x8004);
  CHECK(error_of(port->read(0xa1, 2)) == EINVAL);
  CHECK(error_of(port->read(0x1000, 4)) == EINVAL);
  CHECK(error_of(port->write(0xa0, 3, 0)) == EINVAL);
}

TEST_CASE_FIXTURE(small_host, "MSI maps clear Enable, unmaps clear it again") {
  REQUIRE(port->write(0xd2, 2, reg::msi_enable));
  REQUIRE(xen.map_msi(guest, nic) == 55);
  CHECK(*port->read(0xd2, 2) == 0x0080);
  REQUIRE(port->write(0xd2, 2, reg::msi_enable));
  CHECK(*port->read(0xd2, 2) == 0x0081);
  REQUIRE(xen.unmap_pirq(guest, 55));
  CHECK(*port->read(0xd2, 2) == 0x0080);
}

TEST_CASE_FIXTURE(small_host, "assignment goes from dom0 or quarantine to one domain, and back by quarantine") {
  const auto other = host.create_domain("other");
  sim::domain_options plain;
  plain.name = "no IOMMU";
  plain.passthrough = false;
  CHECK(error_of(xen.assign(other, nic, strict)) == EBUSY);
  CHECK(error_of(xen.assign(0, nic, strict)) == EINVAL);
  CHECK(error_of(xen.assign(99, nic, strict)) == ESRCH);
  CHECK(error_of(xen.assign(other, slot4, strict)) == ENODEV);
  CHECK(error_of(xen.deassign(other, nic)) == ENODEV);
  CHECK(error_of(xen.deassign(99, nic)) == ESRCH);
  REQUIRE(xen.deassign(guest, nic));
  CHECK(xen.facts(nic)->owner == domid_io);
  CHECK(error_of(xen.assign(host.create_domain(plain), nic, strict)) == EOPNOTSUPP);
  REQUIRE(xen.assign(domid_io, nic, strict));
  REQUIRE(xen.assign(other, nic, strict));
  REQUIRE(xen.deassign(other, nic));
  REQUIRE(xen.deassign(domid_io, nic));
  CHECK(xen.facts(nic)->owner == 0);
}

TEST_CASE_FIXTURE(small_host, "whether a guest has a function, Xen tells; which one, it does not") {
  CHECK(xen.has_guest(nic) == true);
  REQUIRE(xen.deassign(guest, nic));
  CHECK(xen.has_guest(nic) == false); // in quarantine
  REQUIRE(xen.assign(guest, nic, strict));
  xen.kill(guest);
  CHECK(xen.has_guest(nic) == false);
  CHECK(xen.has_guest(slot4) == true); // there is no such function
}

TEST_CASE_FIXTURE(small_host, "permissions are kept a domain") {
  REQUIRE(xen.permit_memory(guest, 0x100, 16, true));
  REQUIRE(xen.permit_memory(guest, 0x108, 16, true));
  CHECK(xen.holdings(guest).frames == 24);
  REQUIRE(xen.permit_memory(guest, 0x104, 4, false));
  CHECK(xen.holdings(guest).frames == 20);
  CHECK(xen.may_access(guest, 0x103));
  CHECK_FALSE(xen.may_access(guest, 0x104));
  CHECK(error_of(xen.permit_memory(guest, ~std::uint64_t{0}, 2, true)) == EINVAL);
  CHECK(error_of(xen.permit_memory(99, 0, 1, true)) == ESRCH);
  REQUIRE(xen.permit_ports(guest, 0xc000, 32, true));
  CHECK(error_of(xen.permit_ports(guest, 0xffff, 2, true)) == EINVAL);
  REQUIRE(xen.permit_irq(guest, 22, true));
  CHECK(error_of(xen.permit_irq(guest, 24, true)) == EINVAL);
  REQUIRE(xen.map_gsi(guest, 22));
  CHECK(xen.map_gsi(guest, 22)); // again: the same
  CHECK(error_of(xen.map_gsi(guest, 0)) == EINVAL);
  const auto held = xen.holdings(guest);
  CHECK(held.ports == 32);
  CHECK(held.irqs == std::vector<std::uint32_t>{22});
  CHECK(held.line_pirqs == std::vector<std::uint16_t>{22});
  REQUIRE(xen.unmap_pirq(guest, 22));
  CHECK(xen.holdings(guest).line_pirqs.empty());
}

TEST_CASE_FIXTURE(small_host, "a message arrives when everything on its way is open") {
  REQUIRE(map(2) == 55);
  CHECK_FALSE(xen.raise(nic, 2)); // no bus master, not enabled, not bound
  command(reg::command_memory | reg::command_master);
  control(reg::msix_enable);
  CHECK_FALSE(xen.raise(nic, 2));
  REQUIRE(xen.bind_pirq(guest, 55));
  CHECK(xen.raise(nic, 2));
  CHECK_FALSE(xen.raise(nic, 1)); // nothing mapped there
  control(reg::msix_enable | reg::msix_mask_all);
  CHECK_FALSE(xen.raise(nic, 2));
  control(reg::msix_enable);
  command(reg::command_memory);
  CHECK_FALSE(xen.raise(nic, 2));
  CHECK(xen.received(guest, 55) == 1);
  CHECK(xen.lost() == 5);
  CHECK(error_of(xen.bind_pirq(guest, 55)) == EEXIST);
  CHECK(error_of(xen.bind_pirq(guest, 54)) == EPERM);
  CHECK(error_of(xen.bind_pirq(guest, 56)) == EINVAL);
}

TEST_CASE_FIXTURE(small_host,
                  "what is unmapped while the guest has it bound is in its way until it closes that channel") {
  REQUIRE(map(0) == 55);
  REQUIRE(xen.bind_pirq(guest, 55));
  REQUIRE(xen.unmap_pirq(guest, 55));
  CHECK(error_of(map(0)) == EBUSY);
  CHECK(error_of(xen.bind_pirq(guest, 55)) == EEXIST);
  CHECK(xen.holdings(guest).message_pirqs.empty());
  xen.unbind_pirq(guest, 55);
  CHECK(map(0) == 55);
}

TEST_CASE_FIXTURE(small_host, "a reset loses what Xen has programmed, restore_msi brings it back") {
  REQUIRE(map(0) == 55);
  REQUIRE(xen.bind_pirq(guest, 55));
  command(reg::command_memory | reg::command_master);
  control(reg::msix_enable);
  CHECK(xen.raise(nic));
  REQUIRE(host.pci().reset(nic));
  CHECK(*port->read(reg::command, 2) == (reg::command_memory | reg::command_master)); // the kernel restores it
  CHECK(control() == 0x8004);
  CHECK_FALSE(xen.raise(nic));
  const auto restorable = restorable_function::look(*host.pci().describe(nic), *port, *port);
  REQUIRE(restorable);
  REQUIRE(*restorable);
  REQUIRE(xen.restore_msi(**restorable));
  CHECK(xen.raise(nic));
  host.pci().reset_bus(nic);
  CHECK(*port->read(reg::command, 2) == 0);
  CHECK(*port->read(reg::bar0, 4) == 0);
  CHECK(error_of(restorable_function::look(*host.pci().describe(nic), *port, *port)) == ENXIO);
  CHECK(error_of(xen.restore_msi(**restorable)) == ENXIO); // looked at too long ago
}

TEST_CASE_FIXTURE(small_host,
                  "a dead domain's device goes to quarantine as it is, its pirqs when nobody maps it any more") {
  auto mapped = *host.grant_table().map(guest, host.grant_table().grant(guest, std::make_shared<sim::guest_page>()));
  REQUIRE(map() == 55);
  REQUIRE(xen.bind_pirq(guest, 55));
  command(reg::command_memory | reg::command_master);
  control(reg::msix_enable);
  host.destroy(guest);
  CHECK(xen.facts(nic)->owner == domid_io);
  CHECK(control() == 0x8004);
  CHECK((*port->read(reg::command, 2) & reg::command_master) != 0);
  CHECK_FALSE(xen.raise(nic));
  CHECK(xen.holdings(guest).message_pirqs == std::vector<std::uint16_t>{55});
  CHECK(error_of(map()) == ENODEV);
  const auto next = host.create_domain("next");
  CHECK(error_of(xen.assign(next, nic, strict)) == EBUSY); // a dead domain has pirqs of it
  CHECK(xen.unmap_pirq(guest, 55));                        // works on a dying domain
  CHECK(xen.assign(next, nic, strict));
  mapped.reset();
  CHECK(error_of(xen.unmap_pirq(guest, 55)) == ESRCH);
}

TEST_CASE_FIXTURE(small_host, "pirqs that Xen frees late touch a function that may be somebody else's") {
  auto mapped = *host.grant_table().map(guest, host.grant_table().grant(guest, std::make_shared<sim::guest_page>()));
  REQUIRE(map() == 55);
  command(0);
  host.destroy(guest);
  CHECK_FALSE(xen.facts(nic)->poisoned);
  mapped.reset();
  CHECK(xen.facts(nic)->poisoned);
  CHECK(xen.facts(nic)->vectors == 0);
}

TEST_CASE("hold takes a function from its driver when it may") {
  sim::host host;
  host.add_function(model("e1000e", slot3), "e1000e", true);
  CHECK(error_of(host.pci().hold(slot3, holder::stub, false)) == EBUSY);
  CHECK(error_of(host.pci().hold(slot4, holder::stub, false)) == ENODEV);
  CHECK(host.lines().facts(22).dom0_handlers == 1);
  CHECK(host.lines().facts(22).level);
  REQUIRE(host.pci().hold(slot3, holder::uio, true));
  CHECK(*host.pci().driver(slot3) == "uio_pci_generic");
  CHECK(host.lines().facts(22).dom0_handlers == 0);
  REQUIRE(host.pci().hold(slot3, holder::stub, false));
  CHECK(error_of(host.lines().listen(slot3)) == ENODEV);
  REQUIRE(host.pci().release(slot3));
  CHECK(*host.pci().driver(slot3) == "e1000e");
  CHECK(host.lines().facts(22).dom0_handlers == 1);
}

TEST_CASE("the irq is right after the function was enabled, not before") {
  sim::host host;
  host.add_function(model("e1000", slot3));
  CHECK(host.pci().describe(slot3)->irq == 10);
  REQUIRE(host.pci().hold(slot3, holder::stub, false));
  const auto what = *host.pci().describe(slot3);
  CHECK(what.irq == 21);
  CHECK(what.class_code == 0x020000);
  CHECK(what.config.size() == 256);
  CHECK(error_of(host.pci().reset(slot3)) == ENOTSUP);
  CHECK((**host.pci().open_config(slot3)).read(reg::command, 2) == (reg::command_io | reg::command_memory));
}

namespace {

/// Two e1000 on one level line: slot 3 for a guest, slot 4 for dom0.
struct line_fixture {
  sim::host host;
  recording_sink sink;
  domain_id guest = host.create_domain("g");

  line_fixture() {
    host.add_function(model("e1000", slot3));
    host.add_function(model("e1000", slot4), "8139cp", true);
    REQUIRE(host.start(sink));
    REQUIRE(host.pci().hold(slot3, holder::uio, false));
    REQUIRE(host.xen().assign(guest, slot3, strict));
    REQUIRE(host.xen().map_gsi(guest, 21));
    CHECK(error_of(host.xen().bind_pirq(guest, 21)) == EPERM);
    REQUIRE(host.xen().permit_irq(guest, 21, true));
    REQUIRE(host.xen().bind_pirq(guest, 21));
  }
  ~line_fixture() { host.stop(); }
};

} // namespace

TEST_CASE_FIXTURE(line_fixture, "uio's handler masks INTx in the function and tells; unmasking lets the next through") {
  REQUIRE(host.lines().listen(slot3));
  auto port = *host.pci().open_config(slot3);
  CHECK(host.xen().raise_intx(slot3));
  CHECK(host.deliver_lines());
  CHECK_FALSE(host.deliver_lines());
  CHECK(sink.lines == std::vector<pci::sbdf>{slot3});
  const auto command = *port->read(reg::command, 2);
  CHECK((command & reg::command_intx_disable) != 0);
  CHECK(host.xen().received(guest, 21) == 1);
  CHECK_FALSE(host.xen().raise_intx(slot3)); // masked
  // Still pulled: it comes again when it is let through.
  REQUIRE(port->write(reg::command, 2, command & ~std::uint32_t{reg::command_intx_disable}));
  CHECK(host.xen().received(guest, 21) == 2);
  host.xen().lower_intx(slot3);
  REQUIRE(port->write(reg::command, 2, command & ~std::uint32_t{reg::command_intx_disable}));
  CHECK(host.xen().received(guest, 21) == 2);
  CHECK(host.xen().line(21).unhandled == 0);
}

TEST_CASE_FIXTURE(line_fixture, "without a handler that claims dom0 gives the line up") {
  REQUIRE(host.pci().hold(slot3, holder::stub, false));
  for (int i = 0; i < 99999; ++i)
    host.xen().raise_intx(slot3);
  CHECK_FALSE(host.xen().line(21).disabled);
  host.xen().raise_intx(slot3);
  CHECK(host.xen().line(21).disabled);
  CHECK(host.xen().received(guest, 21) == 100000);
}

TEST_CASE_FIXTURE(line_fixture, "dom0's own interrupts reach the guest that shares the line, and are claimed") {
  CHECK(host.xen().raise_intx(slot4));
  CHECK(host.xen().received(guest, 21) == 1);
  CHECK(host.xen().line(21).unhandled == 0);
  CHECK(sink.lines.empty());
}

TEST_CASE("functions come and go") {
  sim::host host;
  recording_sink sink;
  REQUIRE(host.start(sink));
  host.add_function(model("nvme", slot3));
  CHECK(sink.added == std::vector<pci::sbdf>{slot3});
  auto port = *host.pci().open_config(slot3);
  CHECK(host.remove_function(slot3));
  CHECK_FALSE(host.remove_function(slot3));
  CHECK(sink.removed == std::vector<pci::sbdf>{slot3});
  CHECK(error_of(port->read(0, 4)) == ENODEV);
  host.add_function(model("nvme", slot3));
  CHECK(error_of(port->write(4, 2, 6)) == ENODEV); // an old descriptor stays dead
  CHECK(host.pci().list() == std::vector<pci::sbdf>{slot3});
  host.stop();
}
