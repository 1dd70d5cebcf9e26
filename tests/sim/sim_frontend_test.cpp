// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <thread>

#include <doctest/doctest.h>

#include "pci/config_space/registers.hpp"
#include "platform/sim/driver.hpp"
#include "sim/sim_little_backend.hpp"

using namespace sim_test;
using namespace std::chrono_literals;
namespace reg = pci::reg;

namespace {

/// A guest with an e1000e, and a backend that runs whenever the guest waits.
struct plain_guest {
  sim::host host;
  domain_id guest = host.create_domain("g");
  little_backend backend{host, guest};
  stepping_waiter wait{host.time(), [this] { return backend.step(); }};
  pci::sbdf first = pci::make_sbdf(0, 0, 0, 0);

  plain_guest() {
    hold("e1000e", slot3);
    hold("nvme", slot4);
    REQUIRE(host.toolstack_attach(guest, slot3, true));
  }
  ~plain_guest() { backend.forget(); }
  void hold(std::string_view name, const pci::sbdf& address) {
    host.add_function(model(name, address));
    REQUIRE(host.pci().hold(address, holder::stub, false));
    REQUIRE(host.xen().prepare_msix(*msix_function::seen_in(*host.pci().describe(address))));
    REQUIRE(host.xen().assign(domid_io, address, strict));
  }
};

} // namespace

TEST_CASE_FIXTURE(plain_guest, "a Linux guest connects and finds its function") {
  sim::frontend front(host, guest, wait);
  REQUIRE(front.connect());
  CHECK(front.state() == 4);
  REQUIRE(front.functions().size() == 1);
  const auto& seen = front.functions()[0];
  CHECK(seen.address == first);
  CHECK(seen.vendor == 0x8086);
  CHECK(seen.device == 0x10d3);
  CHECK(seen.class_code == 0x020000);
  CHECK(seen.capabilities.at(reg::cap_msix) == 0xa0);
  CHECK(seen.extended);
  CHECK(front.operations() >= 256 + 20);
  CHECK(front.timeouts() == 0);
  CHECK((front.flags() & pci::wire::frontend_aer) != 0);
}

TEST_CASE_FIXTURE(plain_guest, "an unanswered operation fails after two seconds and takes its flag back") {
  sim::frontend front(host, guest, wait);
  front.scan_on_connect(false);
  REQUIRE(front.connect());
  backend.answering = false;
  const auto begin = host.time().now();
  const auto lost = front.read(first, 0, 4);
  CHECK(lost.timed_out);
  CHECK(lost.error == -1);
  CHECK(host.time().now() - begin > 2s);
  CHECK(host.time().now() - begin <= 3s + 100ms);
  CHECK((front.flags() & pci::wire::frontend_active) == 0);
  backend.answering = true;
  CHECK(front.read(first, 0, 4).value == 0x10d38086);
}

TEST_CASE_FIXTURE(plain_guest, "an answer without its notification is a time-out for Linux, not for NetBSD") {
  SUBCASE("Linux") {
    sim::frontend front(host, guest, wait);
    front.scan_on_connect(false);
    REQUIRE(front.connect());
    backend.notifying = false;
    CHECK(front.read(first, 0, 4).timed_out);
    CHECK(backend.answered == 1);
  }
  SUBCASE("NetBSD") {
    sim::frontend front(host, guest, wait, sim::flavour::netbsd);
    backend.notifying = false;
    REQUIRE(front.connect());
    CHECK(front.functions().size() == 1);
    CHECK(front.timeouts() == 0);
    CHECK(front.operations() < 256);
  }
}

TEST_CASE_FIXTURE(plain_guest, "functions are added to a running guest and taken away") {
  sim::frontend front(host, guest, wait);
  stepping_waiter whole(host.time(), [&] { return backend.step() || front.service(); });
  CHECK(error_of(host.toolstack_attach(guest, slot4, false)) == EAGAIN);
  REQUIRE(front.connect());
  REQUIRE(host.toolstack_attach(guest, slot4, false));
  CHECK(host.backend_state(guest) == 7);
  CHECK(error_of(host.toolstack_attach(guest, slot4, false)) == EAGAIN);
  REQUIRE(whole.wait_until([&] { return host.backend_state(guest) == 4 && front.state() == 4; }, 5s));
  CHECK(front.functions().size() == 2);
  CHECK(host.xen().facts(slot4)->owner == guest);
  CHECK(error_of(host.toolstack_attach(host.create_domain("other"), slot4, true)) == EBUSY);

  REQUIRE(host.toolstack_detach(guest, slot3, whole));
  REQUIRE(front.functions().size() == 1);
  CHECK(front.functions()[0].device == 0x0010);
  CHECK(host.xen().facts(slot3)->owner == domid_io);
  auto& store = host.xenstore();
  const auto back = sim::backend_path(guest);
  CHECK(store.read(back + "/dev-0").value_or("") == "0000:00:04.0"); // renumbered
  CHECK(store.read(back + "/vdev-0").value_or("") == "0000:00:01.00");
  CHECK(error_of(store.read(back + "/dev-1")) == ENOENT);
  CHECK(error_of(store.read("/libxl/pci/0000-00-03-0/domid")) == ENOENT);
  CHECK(store.read("/libxl/pci/0000-00-04-0/domid").value_or("") == std::to_string(guest));

  REQUIRE(host.toolstack_detach(guest, slot4, whole));
  CHECK(error_of(store.list(back)) == ENOENT);
  CHECK(error_of(store.list(sim::frontend_path(guest))) == ENOENT);
  CHECK(host.xen().holdings(guest) == sim::domain_holdings{});
}

TEST_CASE_FIXTURE(plain_guest, "the toolstack's nodes are libxl's") {
  auto& store = host.xenstore();
  const auto back = sim::backend_path(guest);
  CHECK(store.read(back + "/frontend").value_or("") == sim::frontend_path(guest));
  CHECK(store.read(back + "/frontend-id").value_or("") == std::to_string(guest));
  CHECK(store.read(back + "/state").value_or("") == "1");
  CHECK(store.read(back + "/online").value_or("") == "1");
  CHECK(store.read(back + "/domain").value_or("") == "g");
  CHECK(store.read(back + "/num_devs").value_or("") == "1");
  CHECK(store.read(back + "/key-0").value_or("") == "0000:00:03.0");
  CHECK(store.read(back + "/state-0").value_or("") == "1");
  auto& mine = host.store_daemon().for_domain(guest);
  CHECK(mine.read(back + "/state"));
  CHECK(error_of(mine.write(back + "/state", "4")) == EACCES);
  CHECK(mine.write(sim::frontend_path(guest) + "/state", "1"));
  const auto held = host.xen().holdings(guest);
  CHECK(held.functions == std::vector<pci::sbdf>{slot3});
  CHECK(held.line_pirqs == std::vector<std::uint16_t>{22});
  CHECK(held.irqs == std::vector<std::uint32_t>{22});
  CHECK(held.frames == 32 + 32 + 4 + 64);
  CHECK(held.ports == 32);
}

TEST_CASE_FIXTURE(plain_guest, "drivers take the best interrupt there is") {
  REQUIRE(host.toolstack_attach(guest, slot4, true));
  sim::frontend front(host, guest, wait);
  REQUIRE(front.connect());
  sim::driver nic(front, front.functions()[0].address), disk(front, front.functions()[1].address);
  REQUIRE(nic.probe());
  CHECK(nic.kind() == sim::driver::interrupt_kind::msix);
  CHECK(nic.pirqs() == std::vector<std::uint16_t>{55, 54, 53, 52});
  CHECK(host.xen().raise(slot3, 2));
  CHECK(nic.interrupts() == 1);
  nic.remove();
  CHECK(nic.pirqs().empty());
  backend.codes.clear();
  REQUIRE(disk.probe_as_nvme());
  std::erase_if(backend.codes, [](auto code) { return code < 2; });
  CHECK(backend.codes == std::vector<std::uint32_t>{4, 3, 4});
  CHECK(disk.pirqs().size() == 2);
}

TEST_CASE_FIXTURE(plain_guest, "shutdown is in order, and a guest can begin again") {
  sim::frontend front(host, guest, wait);
  REQUIRE(front.connect());
  const auto reference = front.grant_reference();
  CHECK(front.shutdown());
  CHECK(front.state() == 6);
  REQUIRE(front.reconnect());
  CHECK(front.state() == 4);
  CHECK(front.grant_reference() != reference);
  CHECK(front.functions().size() == 1);
}

TEST_CASE_FIXTURE(plain_guest, "mini-os begins again after the backend has closed") {
  sim::frontend front(host, guest, wait, sim::flavour::mini_os);
  REQUIRE(front.connect());
  CHECK((front.flags() & pci::wire::frontend_aer) == 0);
  backend.set_state(5);
  CHECK(front.serve_until(1));
  CHECK(front.serve_until(4));
}

TEST_CASE_FIXTURE(plain_guest, "a state that NetBSD does not know is its panic") {
  sim::frontend front(host, guest, wait, sim::flavour::netbsd);
  REQUIRE(front.connect());
  violations seen;
  for (const int state : {7, 6, 8}) {
    backend.set_state(state);
    front.service();
  }
  REQUIRE(seen.texts.size() == 3);
  CHECK(seen.texts[0].find("bad backend state 7") != std::string::npos);
}

TEST_CASE_FIXTURE(plain_guest, "Linux closes when the backend does, and goes when its directory goes") {
  sim::frontend front(host, guest, wait);
  REQUIRE(front.connect());
  SUBCASE("closing") {
    backend.set_state(5);
    CHECK(front.service());
    CHECK(front.state() == 6);
    CHECK(front.functions().empty());
  }
  SUBCASE("unplugged") {
    REQUIRE(host.xenstore().remove(sim::backend_path(guest)));
    CHECK(front.service());
    CHECK(front.unplugged());
    CHECK_FALSE(front.service());
  }
}

TEST_CASE_FIXTURE(plain_guest, "an AER request is answered in the page") {
  sim::frontend front(host, guest, wait);
  front.scan_on_connect(false);
  REQUIRE(front.connect());
  front.answer_aer_with(5);
  const auto request = [&](std::uint32_t code) {
    backend.shared().aer_op.cmd = code;
    front.set_flags(pci::wire::backend_active);
    CHECK(front.service());
    CHECK((front.flags() & pci::wire::backend_active) == 0);
    return backend.shared().aer_op.err;
  };
  CHECK(request(9) == 5);
  CHECK(request(7) == 1); // resume has no answer
  CHECK(front.aer_requests() == std::vector<std::uint32_t>{9, 7});
}

TEST_CASE_FIXTURE(plain_guest, "a dead guest leaves the backend's directory, and its own is gone") {
  sim::frontend front(host, guest, wait);
  REQUIRE(front.connect());
  host.toolstack_destroy(guest);
  CHECK(error_of(host.xenstore().list("/local/domain/" + std::to_string(guest))) == ENOENT);
  CHECK(host.xenstore().read(sim::backend_path(guest) + "/state"));
  CHECK(host.xen().domain(guest)->dying); // the backend has its page
  backend.forget();
  CHECK_FALSE(host.xen().domain(guest));
}

TEST_CASE("guests in threads of their own connect, scan and end together") {
  constexpr unsigned guests = 6;
  sim::host host(sim::clock::kind::real);
  std::vector<domain_id> domains;
  std::vector<std::unique_ptr<little_backend>> backends;
  for (unsigned i = 0; i < guests; ++i) {
    const auto address = pci::make_sbdf(0, 1, static_cast<std::uint8_t>(i), 0);
    host.add_function(model("e1000e", address));
    REQUIRE(host.pci().hold(address, holder::stub, false));
    domains.push_back(host.create_domain("g"));
    REQUIRE(host.toolstack_attach(domains.back(), address, true));
    backends.push_back(std::make_unique<little_backend>(host, domains.back()));
  }
  std::atomic<bool> done{false};
  std::thread server([&] {
    while (!done)
      for (auto& backend : backends)
        (void)backend->step();
  });
  std::atomic<unsigned> good{0};
  std::vector<std::thread> threads;
  for (const auto domain : domains)
    threads.emplace_back([&host, &good, domain] {
      sim::threaded_waiter wait(*host.bell(domain));
      sim::frontend front(host, domain, wait);
      if (front.connect() && front.functions().size() == 1 && front.shutdown() && front.timeouts() == 0)
        ++good;
    });
  for (auto& thread : threads)
    thread.join();
  done = true;
  server.join();
  CHECK(good == guests);
}
