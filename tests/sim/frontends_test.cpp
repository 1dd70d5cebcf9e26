// SPDX-License-Identifier: GPL-2.0-or-later
// The daemon with each frontend that there is: the guest enumerates, reads, takes interrupts and closes.
#include "actors/xenstore/guest_view.hpp"
#include "pci/protocol/xenstore_paths.hpp"
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using platform::sim::driver;
using platform::sim::flavour;
using platform::sim::frontend;
using kind = platform::sim::driver::interrupt_kind;

TEST_SUITE_BEGIN("deterministic");

namespace {

constexpr std::array all_flavours{flavour::linux, flavour::mini_os, flavour::netbsd, flavour::freebsd};

struct any_guest : two_cards {
  any_guest() : two_cards(with_netbsd()) {
    REQUIRE(hold(nic));
    REQUIRE(hold(disk));
  }
  static std::string name_of(flavour whose) { return whose == flavour::netbsd ? "netbsd" : "guest"; }
  /// Where the guest sees the network card.
  static pci::sbdf slot_of(flavour whose) { return whose == flavour::mini_os ? nic : first_slot; }
};

} // namespace

TEST_CASE_FIXTURE(any_guest, "each frontend enumerates, reads, takes interrupts and closes") {
  for (const auto whose : all_flavours) {
    CAPTURE(static_cast<int>(whose));
    const auto domain = boot(name_of(whose), {nic, disk});
    frontend guest(host, domain, *this, whose);
    REQUIRE(guest.connect());
    REQUIRE(guest.functions().size() == 2);
    const auto slot = slot_of(whose);
    CHECK(guest.functions().front().address == slot);
    CHECK(guest.read(slot, 0, 4).value == 0x10d38086);
    CHECK(guest.read(slot, 2, 2).value == 0x10d3);

    driver card(guest, slot);
    REQUIRE(card.probe(2));
    CHECK(card.kind() == (guest.uses_messages() ? kind::msix : kind::intx));
    if (guest.uses_messages()) {
      CHECK(host.xen().raise(nic, 1));
    } else {
      CHECK(host.xen().raise_intx(nic));
      host.xen().lower_intx(nic);
    }
    CHECK(card.interrupts() == 1);
    CHECK(masters(nic));

    CHECK(guest.shutdown());
    run();
    host.toolstack_destroy(domain);
    run();
    check_clean(nic);
    check_clean(disk);
    check_forgotten(domain);
  }
}

TEST_CASE_FIXTURE(any_guest, "each frontend is destroyed while it runs") {
  for (const auto whose : all_flavours) {
    CAPTURE(static_cast<int>(whose));
    const auto domain = boot(name_of(whose), {nic});
    frontend guest(host, domain, *this, whose);
    REQUIRE(guest.connect());
    REQUIRE(driver(guest, slot_of(whose)).probe(2));
    host.toolstack_destroy(domain);
    run();
    check_clean(nic);
    check_forgotten(domain);
  }
}

TEST_CASE_FIXTURE(any_guest, "each frontend closes when its backend does") {
  for (const auto whose : all_flavours) {
    CAPTURE(static_cast<int>(whose));
    const auto domain = boot(name_of(whose), {nic});
    frontend guest(host, domain, *this, whose);
    REQUIRE(guest.connect());
    REQUIRE(driver(guest, slot_of(whose)).probe(2));
    for (const auto& directory : {platform::sim::backend_path(domain), pci::paths::view(domain)}) {
      if (host.xenstore().read(directory + "/state")) {
        REQUIRE(host.xenstore().write(directory + "/state", "5"));
      }
    }
    CHECK(serve(guest, [&] { return host.grant_table().mapped(domain) == 0 || guest.state() == 5; }));
    host.toolstack_destroy(domain);
    run();
    check_clean(nic);
    check_forgotten(domain);
  }
}

TEST_CASE_FIXTURE(any_guest, "mini-os is given a function, and has one taken, without looking around") {
  const auto domain = boot("guest", {nic});
  frontend guest(host, domain, *this, flavour::mini_os);
  REQUIRE(guest.connect());
  CHECK(guest.read(disk, 0, 4).error != 0);
  REQUIRE(host.toolstack_attach(domain, disk, false));
  REQUIRE(serve(guest, [&] { return backend(domain, "state") == "4" && guest.state() == 4; }));
  CHECK(guest.functions().size() == 1);
  CHECK(guest.read(disk, 0, 4).good()); // by what vdev-N says now

  REQUIRE(host.toolstack_detach(domain, nic));
  REQUIRE(serve(guest, [&] { return backend(domain, "state") == "4"; }));
  REQUIRE(host.toolstack_finish_detach(domain, nic));
  run();
  CHECK(guest.read(nic, 0, 4).error != 0);
  CHECK(guest.read(disk, 0, 4).value == 0x00101b36); // another index, the same place
  check_clean(nic);
}

TEST_CASE_FIXTURE(any_guest, "mini-os begins again, as often as it likes") {
  const auto domain = boot("guest", {nic});
  frontend guest(host, domain, *this, flavour::mini_os);
  REQUIRE(guest.connect());
  for (int round = 0; round < 3; ++round) {
    CAPTURE(round);
    REQUIRE(driver(guest, nic).probe(2));
    REQUIRE(guest.shutdown()); // it waits for a backend that begins again
    run();
    CHECK(guest.state() == 1);
    CHECK(backend(domain, "state") == "3");
    REQUIRE(guest.connect());
    CHECK(host.grant_table().mapped(domain) == 1);
    CHECK(guest.functions().size() == 1);
  }
}

TEST_CASE_FIXTURE(any_guest, "NetBSD's accesses are aligned and of four bytes, its registers right all the same") {
  const auto domain = boot("netbsd", {nic});
  frontend guest(host, domain, *this, flavour::netbsd);
  REQUIRE(guest.connect());
  const auto& seen = guest.functions().front();
  CHECK(seen.class_code == 0x020000);
  CHECK(seen.interrupt_line == 22);
  CHECK(seen.capabilities.contains(pci::reg::cap_msix));
  CHECK(seen.bar_masks[0] == 0xfffe0000);
  const auto before = hardware(nic, 4, 2);
  const auto written = guest.write(first_slot, 4, 2, before | pci::reg::command_master);
  CHECK(written.good());
  pci::wire::operation last;
  std::memcpy(&last, &guest.shared().op, sizeof last);
  CHECK(last.size == 4);
  CHECK(last.offset == 4);
  CHECK(masters(nic));
}

TEST_CASE_FIXTURE(any_guest, "FreeBSD does not know hot-plug: it is waited for once") {
  const auto domain = boot("guest", {nic, disk});
  frontend guest(host, domain, *this, flavour::freebsd);
  REQUIRE(guest.connect());
  const auto take = [&](const pci::sbdf& address) {
    const auto begun = host.time().now();
    REQUIRE(host.toolstack_detach(domain, address));
    REQUIRE(serve(guest, [&] { return backend(domain, "state") == "4"; }));
    REQUIRE(host.toolstack_finish_detach(domain, address));
    run();
    check_clean(address);
    return host.time().now() - begun;
  };
  CHECK(take(disk) >= all->configuration->frontend_patience);
  CHECK(take(nic) < 500ms);
}

TEST_CASE_FIXTURE(any_guest, "FreeBSD finds nothing without root_num, the others look at the first bus") {
  for (const auto whose : {flavour::linux, flavour::netbsd, flavour::freebsd}) {
    CAPTURE(static_cast<int>(whose));
    const auto domain = boot("guest", {nic});
    frontend guest(host, domain, *this, whose);
    REQUIRE(guest.connect());
    const auto back = platform::sim::backend_path(domain);
    REQUIRE(host.xenstore().remove(back + "/root_num"));
    CHECK(guest.scan().size() == (whose == flavour::freebsd ? 0U : 1U));
    REQUIRE(host.xenstore().write(back + "/root_num", "1"));
    REQUIRE(host.xenstore().write(back + "/root-0", "0:0"));
    CHECK(guest.scan().size() == (whose == flavour::netbsd ? 0U : 1U)); // it counts the digits
    host.toolstack_destroy(domain);
    run();
    check_clean(nic);
  }
}

TEST_CASE_FIXTURE(any_guest, "a guest that never gives up hangs when nobody answers, and the test knows") {
  const auto domain = boot("netbsd", {nic});
  frontend guest(host, domain, *this, flavour::netbsd);
  REQUIRE(guest.connect());
  stop_daemon();
  static_cast<void>(guest.read(first_slot, 0, 4));
  REQUIRE(violations.texts.size() == 1);
  CHECK(violations.texts.front().find("hangs") != std::string::npos);
  violations.texts.clear();
}

TEST_SUITE_END();
