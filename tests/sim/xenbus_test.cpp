// SPDX-License-Identifier: GPL-2.0-or-later
// The negotiation between toolstack, backend and frontend, with every frontend that there is.
#include "two_cards.hpp"

using namespace std::chrono_literals;
using namespace test;
using platform::sim::driver;
using platform::sim::flavour;
using platform::sim::frontend;

TEST_SUITE_BEGIN("deterministic");

namespace {

struct held_cards : two_cards {
  held_cards() {
    REQUIRE(hold(nic));
    REQUIRE(hold(disk));
  }
  /// Starts an attach or detach of the daemon's own and serves the guest until it is answered.
  template <class T, class Atom>
  pci::result<T> command(Atom what, frontend& guest, const pci::sbdf& address) {
    pci::result<T> answer = pci::fail(ETIMEDOUT, "no answer");
    auto pending = self->request(root, caf::infinite, what, guest.domain(), address);
    REQUIRE(serve(
        guest, [&] { return self->has_next_message(); }, 40s));
    const auto refuse = [&](caf::error& error) { answer = tl::unexpected(messages::to_failure(error, "")); };
    if constexpr (std::is_void_v<T>) {
      pending.receive([&] { answer = {}; }, refuse);
    } else {
      pending.receive([&](const T& value) { answer = value; }, refuse);
    }
    return answer;
  }
};

void check_works(two_cards& world, frontend& guest, const pci::sbdf& slot, const pci::sbdf& address) {
  driver card(guest, slot);
  REQUIRE(card.probe(2));
  CHECK(card.kind() == driver::interrupt_kind::msix);
  CHECK(world.host.xen().raise(address, 1));
  CHECK(card.interrupts() == 1);
}

} // namespace

TEST_CASE_FIXTURE(held_cards, "the frontend is there before the backend has seen its directory") {
  const auto domain = host.create_domain("early");
  REQUIRE(host.toolstack_attach(domain, nic, true));
  frontend guest(host, domain, *this);
  REQUIRE(guest.start()); // publishes state 3 while the backend's is 1
  CHECK(backend(domain, "state") == "1");
  CHECK(guest.serve_until(4));
  CHECK(backend(domain, "state") == "4");
  check_works(*this, guest, first_slot, nic);
}

TEST_CASE_FIXTURE(held_cards, "the nodes are those of the kernel's backend") {
  const auto domain = boot("late", {nic});
  CHECK(backend(domain, "state") == "3");
  CHECK(backend(domain, "state-0") == "3");
  CHECK(backend(domain, "vdev-0") == "0000:00:00.00");
  CHECK(backend(domain, "root_num") == "1");
  CHECK(backend(domain, "root-0") == "0000:00");
  CHECK(error_node(domain).empty());
}

TEST_CASE_FIXTURE(held_cards, "devices that come one by one before the frontend does are all found") {
  const auto domain = boot("several", {nic, disk}); // a run of the world between the two
  CHECK(backend(domain, "state") == "3");
  CHECK(backend(domain, "state-1") == "3");
  CHECK(backend(domain, "vdev-1") == "0000:00:01.00");
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  REQUIRE(guest.functions().size() == 2);
  check_works(*this, guest, first_slot, nic);
  check_works(*this, guest, second_slot, disk);
}

TEST_CASE_FIXTURE(held_cards, "xl gives a running guest a device, and takes the first one away") {
  const auto domain = boot("guest", {nic});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  check_works(*this, guest, first_slot, nic);

  REQUIRE(host.toolstack_attach(domain, disk, false));
  CHECK(backend(domain, "state") == "7");
  REQUIRE(serve(guest, [&] { return backend(domain, "state") == "4"; }));
  CHECK(guest.functions().size() == 2);
  check_works(*this, guest, second_slot, disk);

  REQUIRE(host.toolstack_detach(domain, nic));
  REQUIRE(serve(guest, [&] { return backend(domain, "state") == "4"; }));
  REQUIRE(host.toolstack_finish_detach(domain, nic));
  run();
  CHECK(backend(domain, "num_devs") == "1");
  CHECK(backend(domain, "dev-0") == "0000:00:04.0"); // its index has changed
  CHECK(guest.read(first_slot, 0, 4).error == -1);
  CHECK(guest.read(second_slot, 0, 4).good());
  CHECK(holding_pirqs(domain) == 2);
  check_clean(nic);

  REQUIRE(host.toolstack_attach(domain, nic, false)); // and it comes back
  REQUIRE(serve(guest, [&] { return backend(domain, "state") == "4"; }));
  CHECK(guest.functions().size() == 2);
  check_works(*this, guest, first_slot, nic);
}

TEST_CASE_FIXTURE(held_cards, "the daemon's own attach and detach") {
  const auto domain = boot("guest", {nic});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  const auto seen = command<pci::sbdf>(messages::attach_atom_v, guest, disk);
  REQUIRE(seen);
  CHECK(*seen == second_slot);
  CHECK(node("/libxl/pci/0000-00-04-0/domid") == std::to_string(domain));
  check_works(*this, guest, second_slot, disk);
  CHECK(host.xen().holdings(domain).irqs == std::vector<std::uint32_t>{22, 23});

  REQUIRE(command<void>(messages::detach_atom_v, guest, disk));
  check_clean(disk);
  CHECK(node("/libxl/pci/0000-00-04-0/domid").empty());
  CHECK(backend(domain, "num_devs") == "1");
  CHECK(backend(domain, "dev-1").empty());
  CHECK(holding_pirqs(domain) == 0);
  CHECK(host.xen().holdings(domain).irqs == std::vector<std::uint32_t>{22});
  CHECK(guest.read(first_slot, 0, 4).good());
}

TEST_CASE_FIXTURE(held_cards, "the daemon attaches to a guest that has no frontend yet, and takes it back") {
  const auto domain = host.create_domain("empty");
  const auto seen = attach("empty", nic);
  REQUIRE(seen);
  CHECK(*seen == first_slot);
  CHECK(backend(domain, "state") == "3");
  REQUIRE(detach("empty", nic));
  CHECK_FALSE(host.xenstore().read(platform::sim::backend_path(domain) + "/state"));
  check_clean(nic);
  CHECK(host.xen().holdings(domain) == platform::sim::domain_holdings{});
}

TEST_CASE_FIXTURE(held_cards, "an orderly shutdown, then the same device in a guest that starts again") {
  for (int round = 0; round < 3; ++round) {
    const auto domain = boot("again", {nic});
    frontend guest(host, domain, *this);
    REQUIRE(guest.connect());
    check_works(*this, guest, first_slot, nic);
    CHECK(guest.shutdown());
    run();
    CHECK(backend(domain, "state") == "6");
    CHECK(host.grant_table().mapped(domain) == 0);
    host.toolstack_destroy(domain);
    run();
    check_clean(nic);
    check_forgotten(domain);
  }
}

TEST_CASE_FIXTURE(held_cards, "a frontend comes back after Closed") {
  const auto domain = boot("kexec", {nic, disk});
  for (const auto kind : {flavour::linux, flavour::mini_os}) {
    CAPTURE(static_cast<int>(kind));
    frontend guest(host, domain, *this, kind);
    if (kind == flavour::linux) {
      REQUIRE(guest.connect());
      check_works(*this, guest, first_slot, nic);
    } else {
      REQUIRE(guest.start()); // a driver that is loaded again
      REQUIRE(guest.serve_until(4));
    }
    for (int round = 0; round < 2; ++round) {
      CAPTURE(round);
      REQUIRE(guest.reconnect());
      CHECK(host.grant_table().mapped(domain) == 1);
      const bool by_slot = kind == flavour::linux; // mini-os speaks of the host's addresses
      CHECK(guest.read(by_slot ? first_slot : nic, 0, 4).value == 0x10d38086);
      CHECK(guest.read(by_slot ? second_slot : disk, 0, 4).good());
      CHECK(guest.functions().size() == 2);
      check_works(*this, guest, by_slot ? first_slot : nic, nic);
    }
    CHECK(guest.shutdown());
    run();
  }
}

TEST_CASE_FIXTURE(held_cards, "NetBSD's frontend sees no state that it does not know while it runs") {
  const auto domain = boot("netbsd", {nic});
  frontend guest(host, domain, *this, flavour::netbsd);
  REQUIRE(guest.connect());
  CHECK(guest.functions().size() == 1);
  for (int i = 0; i < 50; ++i) {
    guest.service();
    advance(100ms);
  }
  CHECK(backend(domain, "state") == "4"); // and no violation, which the fixture checks
}

TEST_CASE_FIXTURE(held_cards, "a toolstack that writes 7 for nothing gets its 4") {
  const auto domain = boot("guest", {nic});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  check_works(*this, guest, first_slot, nic);
  REQUIRE(host.xenstore().write(platform::sim::backend_path(domain) + "/state", "7"));
  REQUIRE(serve(guest, [&] { return backend(domain, "state") == "4"; }));
  CHECK(guest.functions().size() == 1);
  CHECK(holding_pirqs(domain) == 2);
}

TEST_CASE_FIXTURE(held_cards, "a frontend that takes no part is waited out, and the detach is done") {
  const auto domain = boot("deaf", {nic, disk});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  check_works(*this, guest, second_slot, disk);
  guest.withhold(true);
  const auto begun = host.time().now();
  REQUIRE(detach("deaf", disk));
  const auto took = host.time().now() - begun;
  CHECK(took >= all->configuration->frontend_patience);
  CHECK(took < all->configuration->frontend_patience + 3s);
  check_clean(disk);
  CHECK(backend(domain, "state") == "4");
  CHECK(holding_pirqs(domain) == 0);
  CHECK(guest.read(first_slot, 0, 4).good());
  CHECK(guest.read(second_slot, 0, 4).error == -1);
}

TEST_CASE_FIXTURE(held_cards, "offline and closed: the devices are returned at once") {
  const auto domain = boot("guest", {nic});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  check_works(*this, guest, first_slot, nic);
  REQUIRE(host.xenstore().write(platform::sim::backend_path(domain) + "/online", "0"));
  CHECK(guest.shutdown());
  run();
  CHECK(backend(domain, "state") == "6");
  check_clean(nic);
}

TEST_CASE_FIXTURE(held_cards, "a forced detach takes the nodes away without asking") {
  const auto domain = boot("guest", {nic, disk});
  frontend guest(host, domain, *this);
  REQUIRE(guest.connect());
  check_works(*this, guest, second_slot, disk);
  const auto back = platform::sim::backend_path(domain);
  REQUIRE(host.xenstore().transact(
      [&](platform::store_operations& store) -> pci::result<void> {
        for (const auto* name : {"dev-1", "vdev-1", "state-1", "key-1", "opts-1"}) {
          static_cast<void>(store.remove(back + "/" + name));
        }
        return store.write(back + "/num_devs", "1");
      },
      4));
  run();
  check_clean(disk);
  CHECK(guest.read(second_slot, 0, 4).error == -1);
  CHECK(guest.read(first_slot, 0, 4).good());
}

TEST_SUITE_END();
