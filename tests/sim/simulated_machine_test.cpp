// SPDX-License-Identifier: GPL-2.0-or-later
// What a simulation's file makes of a function, dumps of real machines, and --check-config.
#include <cerrno>
#include <fstream>
#include <thread>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "platform/sim/lspci.hpp"
#include "temporary_directory.hpp"
#include "tools/pcibackd/check_config.hpp"
#include "tools/pcibackd/simulated_machine.hpp"
#include "tools/pcibackd/simulation_agenda.hpp"

using namespace std::chrono_literals;
using daemon_program::simulated_machine;
using daemon_program::simulation_agenda;

namespace {

const auto card = pci::make_sbdf(0, 0, 3, 0);
const auto neighbour = pci::make_sbdf(0, 0, 4, 0);

/// A machine of what the text says.
struct machine_of {
  platform::sim::host host{platform::sim::clock::kind::real};
  simulated_machine machine{host};

  explicit machine_of(std::string_view text) {
    const auto described = config::parse_simulation(text, "f");
    REQUIRE(described.has_value());
    REQUIRE(machine.build(described->functions).empty());
  }
};

constexpr std::string_view two_of_a_machine = "00:1f.0 ISA bridge: Somebody [6/8] Device 1234 (rev 01)\n"
                                              "\tSubsystem: Somebody Device 0001\n"
                                              "\tFlags: fast devsel\n"
                                              "00: 34 12 78 56 06 00 00 00 01 00 01 06 00 00 00 00\n"
                                              "30: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
                                              "\n"
                                              "0000:65:00.0 Ethernet controller: Somebody Device 5679 (prog-if 00)\n"
                                              "00: 34 12 79 56 06 00 00 00 01 00 00 02 00 00 00 00\n"
                                              "10: 0c 00 00 00 38 00 00 00 00 00 00 00 00 00 00 00\n"
                                              "30: 00 00 00 00 00 00 00 00 00 00 00 00 64 01 00 00\n"
                                              "\n";

void write(const std::string& file, std::string_view text) { std::ofstream{file} << text; }

} // namespace

TEST_CASE("a function has dom0's driver, on its line if it says so") {
  machine_of all{
      "[[function]]\naddress=\"00:03.0\"\nmodel=\"e1000e\"\ngsi=20\ndriver=\"e1000e\"\ndriver_uses_line=true\n"
      "[[function]]\naddress=\"00:04.0\"\nmodel=\"e1000\"\ngsi=20\n"
      "[[function]]\naddress=\"00:05.0\"\nmodel=\"nvme\"\ngsi=21\ndriver=\"nvme\"\n"};
  CHECK(all.host.pci().driver(card) == "e1000e");
  CHECK(all.host.pci().driver(neighbour) == "");
  CHECK(all.host.pci().driver(pci::make_sbdf(0, 0, 5, 0)) == "nvme");
  const auto line = all.host.lines().facts(20);
  CHECK(line.functions == 2);
  CHECK(line.dom0_handlers == 1);
  CHECK(line.drivers == "e1000e");
  CHECK(all.host.lines().facts(21).dom0_handlers == 0);
}

TEST_CASE("a function has the resets that its file gives it, and a bus reset hits its bus") {
  machine_of all{"[[function]]\naddress=\"00:03.0\"\nmodel=\"e1000e\"\nresets=[\"flr\", \"bus\"]\n"
                 "[[function]]\naddress=\"00:04.0\"\nmodel=\"e1000e\"\nresets=[]\n"
                 "[[function]]\naddress=\"01:00.0\"\nmodel=\"e1000e\"\n"};
  using pci::reset_method;
  const auto both = all.host.pci().reset_options(card);
  REQUIRE(both.has_value());
  CHECK(*both == std::vector<pci::reset_option>{{reset_method::flr, {}}, {reset_method::bus, {neighbour}}});
  CHECK(all.host.pci().reset_options(neighbour)->empty());
  CHECK_FALSE(all.host.pci().reset_options(pci::make_sbdf(0, 1, 0, 0))->empty());
}

TEST_CASE("a reset takes the time that its file gives it, until the simulation ends") {
  machine_of all{"[[function]]\naddress=\"00:03.0\"\nmodel=\"e1000e\"\nresets=[\"flr\"]\nreset_ms=100\n"
                 "[[function]]\naddress=\"00:04.0\"\nmodel=\"e1000e\"\nresets=[\"flr\"]\nreset_ms=600000\n"};
  const auto begin = std::chrono::steady_clock::now();
  CHECK(all.host.pci().reset(card, pci::reset_method::flr).has_value());
  CHECK(std::chrono::steady_clock::now() - begin >= 100ms);
  std::thread other{[&] { CHECK(all.host.pci().reset(neighbour, pci::reset_method::flr).has_value()); }};
  std::this_thread::sleep_for(20ms);
  all.machine.hurry();
  other.join();
  CHECK(std::chrono::steady_clock::now() - begin < 60s);
}

TEST_CASE("functions that share a page have a BAR in it each") {
  machine_of all{"[[function]]\naddress=\"00:03.0\"\nmodel=\"nvme\"\n"
                 "[[function]]\naddress=\"00:04.0\"\nmodel=\"e1000\"\npage_of=\"00:03.0\"\n"
                 "[[function]]\naddress=\"00:05.0\"\nmodel=\"e1000\"\npage_of=\"00:03.0\"\n"
                 "[[function]]\naddress=\"00:06.0\"\nmodel=\"e1000\"\n"
                 "[[function]]\naddress=\"00:07.0\"\nmodel=\"e1000\"\npage_of=\"00:06.0\"\n"};
  const auto small_page = [&](std::uint8_t slot) {
    const auto address = pci::make_sbdf(0, 0, slot, 0);
    const auto resources = all.host.pci().resources(address);
    for (std::size_t i = 0; i < pci::function::rom; ++i) {
      const auto& each = resources->at(i);
      if (each.size() == 0x100 && !each.is_io()) {
        CHECK(all.host.xen().config_read(address, 0, static_cast<std::uint16_t>(pci::reg::bar0 + 4 * i), 4) ==
              each.start);
        return each.start;
      }
    }
    return std::uint64_t{0};
  };
  const auto first = small_page(3);
  CHECK(first != 0);
  CHECK(small_page(4) == first + 0x100);
  CHECK(small_page(5) == first + 0x200);
  const auto other = small_page(6);
  CHECK((other >= first + 0x1000 || other + 0x1000 <= first));
  CHECK(small_page(7) == other + 0x100);
}

TEST_CASE("the text of lspci is read, of one function and of a machine, with -vv and without") {
  const auto all = platform::sim::parse_lspci(two_of_a_machine);
  REQUIRE(all.has_value());
  REQUIRE(all->size() == 2);
  CHECK(all->at(0).model.address == pci::make_sbdf(0, 0, 0x1f, 0));
  CHECK(all->at(0).model.device == 0x5678);
  const auto& network = all->at(1).model;
  CHECK(network.address == pci::make_sbdf(0, 0x65, 0, 0));
  CHECK(network.device == 0x5679);
  CHECK(network.resources[0].start == 0x3800000000);
  // Another machine's line is one of this machine's.
  CHECK(network.irq >= 16);
  CHECK(network.irq < platform::sim::hypervisor::gsis);
  // Where it is put, the BAR's register says what the machine says.
  const auto placed = platform::sim::place(network, card);
  CHECK(placed.resources[0].start < 0x100000000);
  for (std::size_t byte = 0; byte < 4; ++byte) {
    CHECK(std::to_integer<unsigned>(placed.config[pci::reg::bar0 + 4 + byte]) == 0);
  }
  for (const char* wrong : {"", "x", "00:03.0 a card\n00: zz\n", "00:03.0 a card\n", "[daemon]\n"}) {
    CAPTURE(wrong);
    CHECK(platform::sim::parse_lspci(wrong).error().error == EINVAL);
  }
  CHECK(platform::sim::load_lspci("/nowhere/dump").error().error == ENOENT);
  CHECK(platform::sim::load_lspci("/").error().context == "/ is not a file");
}

TEST_CASE("a BAR of a dump is large enough for the MSI-X table and the pending bits that are in it") {
  constexpr std::string_view text = "00:03.0 Ethernet controller: Somebody Device 5678\n"
                                    "00: 34 12 78 56 06 00 10 00 01 00 00 02 00 00 00 00\n"
                                    "10: 00 10 00 fe 00 00 00 00 01 c0 00 00 00 00 00 00\n"
                                    "30: 00 00 00 00 40 00 00 00 00 00 00 00 00 00 00 00\n"
                                    "40: 11 00 03 00 00 20 00 00 00 80 00 00 00 00 00 00\n";
  const auto with = platform::sim::parse_lspci(text);
  REQUIRE(with.has_value());
  CHECK(with->front().model.resources[0].size() == 0x10000);
  // Pending bits in a BAR of ports, or in none, are the card's own mistake.
  for (const char* where : {"02 80 00 00", "07 80 00 00", "01 80 00 00"}) {
    std::string other{text};
    other.replace(other.find("00 80 00 00"), 11, where);
    const auto got = platform::sim::parse_lspci(other);
    REQUIRE(got.has_value());
    CHECK(got->front().model.resources[0].size() == 0x4000);
  }
  std::string said{text};
  said.insert(said.find("00: 34"), "resource: 0xfe001000 0xfe001fff 0x40200\n");
  CHECK(platform::sim::parse_lspci(said)->front().model.resources[0].size() == 0x1000);
}

TEST_CASE("a dump of a machine has the function that is named, or is at the address") {
  const test::temporary_directory directory;
  write(directory / "all.txt", two_of_a_machine);
  config::simulated_function what;
  what.dump = directory / "all.txt";
  what.address = pci::make_sbdf(0, 0x65, 0, 0);
  REQUIRE(daemon_program::model_of(what).has_value());
  CHECK(daemon_program::model_of(what)->device == 0x5679);
  what.address = card;
  const auto absent = daemon_program::model_of(what);
  REQUIRE_FALSE(absent.has_value());
  CHECK(absent.error().context ==
        what.dump->string() + " has no function 0000:00:03.0; name one of its 2 with dump_address");
  what.dump_address = pci::make_sbdf(0, 0, 0x1f, 0);
  REQUIRE(daemon_program::model_of(what).has_value());
  CHECK(daemon_program::model_of(what)->device == 0x5678);
  CHECK(daemon_program::model_of(what)->address == card);
}

TEST_CASE("--check-config names its files, and tells all mistakes and doubts of each") {
  const test::temporary_directory directory;
  const auto settings = directory / "settings.toml", host = directory / "host.toml", events = directory / "events.toml";
  write(settings, "[[device]]\nmatch = \"00:03.0\"\n[[assign]]\ndomain = \"wbe\"\ndevices = [\"00:03.0\"]\n");
  write(host,
        "[[function]]\naddress=\"00:03.0\"\ndump=\"one.txt\"\n[[function]]\naddress=\"00:04.0\"\ndump=\"two.txt\"\n"
        "[[guest]]\nname=\"web\"\nfunctions=[]\n");
  write(events, "[[event]]\nat=0\ndo=\"kill\"\nguest=\"a\"\n[[event]]\nat=0\ndo=\"start\"\nguest=\"web\"\n");
  write(directory / "two.txt", "rubbish\n");
  const auto bad = daemon_program::check_config({settings, host, events}, {});
  CHECK_FALSE(bad.good());
  REQUIRE(bad.mistakes.size() == 3);
  CHECK(bad.mistakes[0] == fmt::format("{}:1:1: 0000:00:03.0: {} cannot be read: No such file or directory (2)", host,
                                       directory / "one.txt"));
  CHECK(bad.mistakes[1].rfind(fmt::format("{}:4:1: 0000:00:04.0: {}: ", host, directory / "two.txt"), 0) == 0);
  CHECK(bad.mistakes[2] == events + ":1:1: kill: there is no [[guest]] \"a\"");
  CHECK(bad.warnings ==
        std::vector<std::string>{settings + ":3:1: no guest \"wbe\" is running; did you mean \"web\"?"});
  CHECK(bad.summary == std::vector<std::string>{host + ": 2 mistakes", events + ": 1 mistake",
                                                settings + ": no mistakes, 1 warning; 1 device rule, 1 assignment"});

  const auto running = [] { return std::optional<std::vector<std::string>>{{"wbe"}}; };
  const auto good = daemon_program::check_config({settings, {}, {}}, running);
  CHECK(good.good());
  CHECK(good.warnings.empty());
  CHECK(good.summary == std::vector<std::string>{settings + ": no mistakes; 1 device rule, 1 assignment"});
  // Where nobody can tell which guests there are, nothing is said of them.
  CHECK(daemon_program::check_config({settings, {}, {}}, [] {
          return std::optional<std::vector<std::string>>{};
        }).warnings.empty());
  CHECK(daemon_program::check_config({directory / "none.toml", {}, {}}, {}).mistakes ==
        std::vector<std::string>{directory / "none.toml" + " cannot be read: No such file or directory (2)"});
  CHECK(daemon_program::check_config({}, {}).good());
}

TEST_CASE("the agenda gives jobs when they are due, the earliest first, until it ends") {
  simulation_agenda agenda;
  std::string order;
  const auto begin = simulation_agenda::clock::now();
  agenda.add([&] { order += "b"; }, 40ms);
  agenda.add([&] { order += "c"; }, 80ms);
  agenda.add([&] { order += "a"; });
  for (unsigned count = 0; count < 3; ++count) {
    const auto job = agenda.next();
    REQUIRE(job);
    (*job)();
  }
  CHECK(order == "abc");
  CHECK(simulation_agenda::clock::now() - begin >= 80ms);
  agenda.wake();
  CHECK_FALSE(agenda.next());
  agenda.add([] {}, 1h);
  std::thread other{[&] {
    std::this_thread::sleep_for(20ms);
    agenda.end();
  }};
  CHECK_FALSE(agenda.next());
  other.join();
  CHECK(agenda.ended());
  agenda.add([] {});
  CHECK_FALSE(agenda.next());
}
