// SPDX-License-Identifier: GPL-2.0-or-later
// What the host process refuses a worker that somebody has taken over, and what the worker cannot do by itself.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "platform/remote/node_rules.hpp"
#include "platform/remote/sandbox.hpp"
#include "temporary_directory.hpp"
#include "tools/pcibackd/break_out.hpp"
#include "tools/pcibackd/signals.hpp"
#include "tools/pcibackd/two_processes.hpp"
#include "two_cards.hpp"
#include "two_processes_support.hpp"

using namespace test;
using platform::remote::is_refusal;

// The runtimes of the sanitizers need more calls than the worker has.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool has_own_calls = false;
#else
constexpr bool has_own_calls = true;
#endif

namespace {

/// The network card is held and has a guest; the disk is dom0's.
struct taken_over_worker {
  taken_over_worker() {
    host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000e"), nic), "e1000e");
    host.add_function(platform::sim::place(*platform::sim::builtin_model("nvme"), disk), "nvme");
    REQUIRE(worker.pci().hold(nic, platform::holder::stub, true));
    served = host.create_domain("served");
    REQUIRE(host.toolstack_attach(served, nic, true));
    other = host.create_domain("other");
    reference = worker.pci().describe(nic).value();
  }
  template <class T>
  static bool refused(const pci::result<T>& outcome) {
    return !outcome && is_refusal(outcome.error());
  }

  platform::sim::host host{platform::sim::clock::kind::real};
  split_host split{host, std::make_shared<platform::memory_records>(), std::make_shared<platform::memory_records>()};
  platform::remote::remote_host& worker = *split.worker;
  platform::hypervisor& xen = worker.xen();
  platform::domain_id served = 0;
  platform::domain_id other = 0;
  pci::function reference;
  sim_test::violations violations;
};

constexpr auto strictly = pci::rdm_policy::strict;

} // namespace

TEST_CASE_FIXTURE(taken_over_worker, "two processes: nothing is done with a function that is not held") {
  auto& functions = worker.pci();
  CHECK(refused(xen.assign(served, disk, strictly)));
  CHECK(refused(xen.assign(platform::domid_io, disk, strictly)));
  CHECK(refused(xen.deassign(served, disk)));
  CHECK(refused(xen.map_msi(served, disk)));
  CHECK(refused(xen.map_msix(served, disk, 0, 0xfe000000)));
  const auto theirs = platform::msix_function::seen_in(functions.describe(disk).value());
  REQUIRE(theirs);
  CHECK(refused(xen.prepare_msix(*theirs)));
  CHECK(refused(xen.release_msix(*theirs)));
  CHECK(refused(functions.open_config(disk)));
  CHECK(refused(functions.reset(disk, pci::reset_method::flr)));
  CHECK(refused(functions.release(disk)));
  CHECK(refused(functions.let_go(disk)));
  CHECK(refused(worker.lines().listen(disk)));
  CHECK(refused(worker.guards().arm(disk)));
  functions.remember_power(disk, {true, true, true});
  CHECK_FALSE(host.pci().power_before(disk));
  CHECK(host.pci().driver(disk) == "nvme");
  CHECK(split.hands.written().empty());
  CHECK(functions.power_before(nic) == platform::power_settings{true, true, true});
  CHECK(functions.open_config(nic));
  CHECK(split.hands.written() == std::vector{nic});
  CHECK(violations.texts.empty());
  CHECK(split.refusals() == 14);
}

TEST_CASE_FIXTURE(taken_over_worker,
                  "two processes: nothing is done to dom0, to Xen's own domains, or to other guests") {
  for (const platform::domain_id domain :
       {platform::domain_id{0}, platform::domid_io, other, platform::domain_id{0x7ff4}, platform::domain_id{0xffff}}) {
    CAPTURE(domain);
    CHECK(refused(xen.map_msi(domain, nic)));
    CHECK(refused(xen.permit_memory(domain, reference.resources[0].start >> 12, 1, true)));
    CHECK(refused(xen.permit_ports(domain, 0x3f8, 1, true)));
    CHECK(refused(xen.permit_irq(domain, reference.irq, true)));
    CHECK(refused(xen.map_gsi(domain, reference.irq)));
    CHECK(refused(xen.crash(domain)));
    CHECK(refused(xen.pause(domain)));
    CHECK(refused(worker.grant_table().map(domain, 8)));
    CHECK(refused(worker.channels().bind_interdomain(domain, 1)));
  }
  CHECK(refused(xen.assign(0, nic, strictly)));
  CHECK(refused(xen.deassign(0, nic)));
  CHECK(refused(xen.unmap_pirq(0, 55)));
  CHECK(refused(xen.unmap_pirq(other, 55)));
  CHECK(refused(xen.permit_memory(0, reference.resources[0].start >> 12, 1, false)));
  CHECK_FALSE(refused(xen.permit_memory(other, reference.resources[0].start >> 12, 1, false))); // takes nothing away
  CHECK(host.xen().domain(other).has_value());
}

TEST_CASE_FIXTURE(taken_over_worker, "two processes: a guest gets the registers of held functions, and nothing else") {
  const auto& memory = reference.resources[0];
  REQUIRE(memory.is_memory());
  const auto first = memory.start >> 12;
  const auto count = memory.size() >> 12;
  CHECK(xen.permit_memory(served, first, count, true));
  CHECK(refused(xen.permit_memory(served, first, count + 1, true)));
  CHECK(refused(xen.permit_memory(served, first - 1, count, true)));
  CHECK(refused(xen.permit_memory(served, first, 0, true)));
  CHECK(refused(xen.permit_memory(served, first, ~std::uint64_t{0}, true)));
  CHECK(refused(xen.permit_memory(served, 0, 1, true)));
  CHECK(refused(xen.permit_memory(served, 0, 1, false)));
  CHECK(refused(xen.permit_ports(served, 0x3f8, 8, true)));
  CHECK(refused(xen.permit_irq(served, reference.irq + 1, true)));
  CHECK(refused(xen.map_gsi(served, 0)));
}

TEST_CASE_FIXTURE(taken_over_worker,
                  "two processes: of a guest that is served, only what its PCI frontend publishes is mapped") {
  const auto page = std::make_shared<platform::sim::guest_page>();
  const auto published = host.grant_table().grant(served, page);
  const auto others = host.grant_table().grant(served, page); // its network's, say
  const auto port = host.channels().allocate_unbound(served).value();
  CHECK(refused(worker.grant_table().map(served, published)));
  auto& guests_nodes = host.store_daemon().for_domain(served);
  const auto front = platform::sim::frontend_path(served);
  REQUIRE(guests_nodes.write(front + "/pci-op-ref", fmt::format("{}", published)));
  REQUIRE(guests_nodes.write(front + "/event-channel", fmt::format("{}", port)));
  CHECK(worker.grant_table().map(served, published));
  CHECK(refused(worker.grant_table().map(served, others)));
  CHECK(worker.channels().bind_interdomain(served, port));
  CHECK(refused(worker.channels().bind_interdomain(served, port + 1)));
  CHECK(split.refusals() == 0); // nobody is told: the guest itself may publish another number at any moment
}

TEST_CASE_FIXTURE(taken_over_worker,
                  "two processes: nodes by the rules, in transactions too, and records by their names") {
  auto& nodes = worker.xenstore();
  CHECK(refused(nodes.write("/local/domain/0/name", "intruder")));
  CHECK(refused(nodes.read("/vm")));
  CHECK(refused(nodes.remove("/local/domain")));
  CHECK(refused(nodes.watch("/", "everything")));
  // What dom0's driver was is not the worker's to say.
  CHECK(refused(nodes.write("/libxl/pci/0000-00-03-0/driver_path", "/sys/bus/pci/drivers/vfio-pci")));
  CHECK(nodes.write("/libxl/pci/0000-00-03-0/driver_path", "/sys/bus/pci/drivers/e1000e"));
  const auto back = platform::sim::backend_path(served);
  bool ran = false;
  CHECK(refused(nodes.transact([&](platform::store_operations& inside) {
    ran = true;
    REQUIRE(inside.write(back + "/state", "2"));
    return inside.write("/local/domain/0/name", "intruder");
  })));
  CHECK(ran);
  CHECK(nodes.read(back + "/state").value() == "1"); // given up as a whole
  CHECK(nodes.transact([&](platform::store_operations& inside) { return inside.write(back + "/state", "2"); }));
  CHECK(nodes.read(back + "/state").value() == "2");
  int attempts = 0;
  CHECK(nodes.transact([&](platform::store_operations& inside) -> pci::result<void> {
    static_cast<void>(inside.read(back + "/state"));
    if (++attempts == 1) {
      REQUIRE(host.xenstore().write(back + "/state", "3")); // somebody gets in between
    }
    return inside.write(back + "/online", "1");
  }));
  CHECK(attempts == 2);
  CHECK(refused(worker.journal()->write("../lock", "")));
  CHECK(refused(worker.journal()->read("..")));
  CHECK(worker.journal()->write("resets", "text"));
  CHECK(worker.journal()->read("resets").value() == "text");
  CHECK(refused(worker.notify("MAINPID=1")));
  CHECK(worker.notify("READY=1"));
  CHECK(split.told() == "READY=1;");
  CHECK(worker.threads().front().name == "guest-1");
  CHECK(worker.read_settings().value() == "[daemon]\n");
}

TEST_CASE_FIXTURE(taken_over_worker,
                  "two processes: what dom0 runs from is not taken, and a reset hits nothing that is not held") {
  host.pci().set_needed_for(disk, "carries /boot");
  CHECK(refused(worker.pci().hold(disk, platform::holder::stub, true)));
  host.pci().add_reset_option(nic, {pci::reset_method::bus, {disk}});
  CHECK(refused(worker.pci().reset(nic, pci::reset_method::bus)));
  const auto options = worker.pci().reset_options(nic).value();
  const auto own = std::ranges::find_if(options, [](const pci::reset_option& each) { return each.hits.empty(); });
  REQUIRE(own != options.end());
  CHECK_FALSE(refused(worker.pci().reset(nic, own->method)));
}

TEST_CASE_FIXTURE(taken_over_worker, "two processes: packets of no form are answered, and the next is as any") {
  auto made = platform::remote::link{platform::remote::descriptor{::dup(split.raw)}};
  auto own = made.ask_for_descriptor<platform::remote::of::connect>();
  REQUIRE(own);
  const platform::remote::packet_socket socket{std::move(own->file)};
  for (const auto& garbage :
       {std::string(1, '\xff'), std::string("garbage"), platform::remote::packet(platform::remote::call::crash),
        platform::remote::packet(platform::remote::call::end_body, true),
        platform::remote::packet(platform::remote::call::transact, ~0U)}) {
    REQUIRE(socket.send(garbage));
    const auto answered = socket.receive();
    REQUIRE(answered);
    CHECK(answered->front() == static_cast<char>(platform::remote::verdict::failed));
  }
  REQUIRE(socket.send(platform::remote::packet(platform::remote::call::processors)));
  CHECK(socket.receive()->front() == static_cast<char>(platform::remote::verdict::done));
}

TEST_CASE("two processes: a guest cannot make its function one that Xen dies of") {
  taken_over_worker all;
  // A card whose reference has no MSI-X: what the worker says of it does not count.
  const auto plain = pci::make_sbdf(0, 0, 9, 0);
  all.host.add_function(platform::sim::place(*platform::sim::builtin_model("e1000"), plain), "");
  REQUIRE(all.worker.pci().hold(plain, platform::holder::stub, true));
  auto lie = all.reference;
  lie.address = plain;
  const auto invented = platform::msix_function::seen_in(lie);
  REQUIRE(invented);
  CHECK(taken_over_worker::refused(all.xen.prepare_msix(*invented)));
  CHECK(taken_over_worker::refused(all.xen.release_msix(*invented)));
  CHECK(all.violations.texts.empty());
}

TEST_CASE("two processes: without rights a process opens, starts and changes nothing") {
  if (!has_own_calls) {
    return;
  }
  std::array<int, 2> said{};
  REQUIRE(::pipe(said.data()) == 0);
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::string possible;
    if (const auto given_up = platform::remote::give_up_rights({}); !given_up) {
      possible = pci::to_string(given_up.error());
    } else {
      for (const auto& each : daemon_program::try_system_calls()) {
        possible += each.refused ? "" : each.what + ": " + each.answer + "; ";
      }
      std::thread([] {}).join(); // what it does need
    }
    std::_Exit(::write(said[1], possible.data(), possible.size()) == static_cast<ssize_t>(possible.size()) ? 0 : 1);
  }
  ::close(said[1]);
  std::string possible(4096, '\0');
  possible.resize(static_cast<std::size_t>(std::max<ssize_t>(::read(said[0], possible.data(), possible.size()), 0)));
  ::close(said[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(possible == "");
}

TEST_CASE("two processes: the worker can do nothing of what it must not, and ends with its status") {
  if (!has_own_calls) {
    return;
  }
  sigset_t before;
  REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &before) == 0);
  const auto signals = daemon_program::take_signals();
  REQUIRE(signals);
  temporary_directory directory;
  config::settings settings;
  settings.runtime = directory / "run";
  platform::sim::host host{platform::sim::clock::kind::real};
  host.add_function(platform::sim::place(*platform::sim::builtin_model("nvme"), disk), "nvme");
  const auto served = host.create_domain("served");
  REQUIRE(host.xenstore().write(platform::sim::backend_path(served) + "/state", "1"));
  simulated_hands hands(host);
  const auto open = [&]() -> pci::result<daemon_program::opened_host> {
    return daemon_program::opened_host{std::make_unique<borrowed_host>(host), std::make_unique<simulated_hands>(host)};
  };
  const auto work = [](platform::remote::remote_host& worker, int) -> pci::result<void> {
    std::string possible;
    for (const auto& each : daemon_program::try_to_break_out(worker)) {
      possible += each.refused ? "" : each.what + ": " + each.answer + "; ";
    }
    return possible.empty() ? pci::result<void>{} : pci::fail(EACCES, possible);
  };
  const auto fails = [](platform::remote::remote_host&, int) -> pci::result<void> { std::_Exit(42); };
  const auto all = daemon_program::run_two_processes(settings, signals->get(), {open, work, hands, host.time()});
  CHECK(all.value() == 0);
  CHECK(daemon_program::run_two_processes(settings, signals->get(), {open, fails, hands, host.time()}).value() == 42);
  const auto cannot_open = []() -> pci::result<daemon_program::opened_host> { return pci::fail(ENOTSUP, "no Xen"); };
  CHECK(daemon_program::run_two_processes(settings, signals->get(), {cannot_open, work, hands, host.time()})
            .error()
            .error == ENOTSUP);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}
