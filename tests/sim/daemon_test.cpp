// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <chrono>
#include <thread>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "simulated_daemon.hpp"
#include "tools/pcibackctl/table.hpp"

using namespace daemon_program;
using test::simulated_daemon;
using namespace std::chrono_literals;

TEST_CASE_FIXTURE(simulated_daemon, "simulated guests do their work, and the daemon ends when they have") {
  const auto done = simulated->run({}, *socket, signals[0], true);
  CAPTURE((done ? "" : done.error().context));
  CHECK(done.has_value());
}

TEST_CASE("guests with every frontend do their work") {
  std::string text;
  unsigned slot = 3;
  for (const char* frontend : {"linux", "mini-os", "netbsd", "freebsd"}) {
    text += fmt::format("[[function]]\naddress = \"0000:00:{0:02x}.0\"\nmodel = \"e1000e\"\ngsi = {0}\n"
                        "[[guest]]\nname = \"{1}\"\nfrontend = \"{1}\"\nfunctions = [\"0000:00:{0:02x}.0\"]\n"
                        "operations = 20\n",
                        slot++, frontend);
  }
  const simulated_daemon all{text};
  const auto done = all.simulated->run({}, *all.socket, all.signals[0], true);
  CAPTURE((done ? "" : done.error().context));
  CHECK(done.has_value());
}

TEST_CASE_FIXTURE(simulated_daemon, "an administrator sees and commands the daemon while guests run") {
  pci::result<void> outcome;
  std::thread daemon{[&] { outcome = simulated->run({}, *socket, signals[0], false); }};
  // What the nvme driver ends with.
  const std::string two_vectors = R"("mode":"msix","vectors":[{"entry":0,"pirq":55},{"entry":1,"pirq":54}],)";
  const auto list = list_with(two_vectors);
  CHECK(list.find(two_vectors) != std::string::npos);
  CHECK(list.find(R"("state":"leased")") != std::string::npos);
  CHECK(client_program::table_of(list).has_value());

  const auto leased = ask({"release", {}, pci::make_sbdf(0, 0, 4, 0), {}, {}});
  REQUIRE_FALSE(leased.has_value());
  CHECK(leased.error().error == EBUSY);
  const auto absent = ask({"hold", {}, pci::make_sbdf(0, 0, 30, 0), false, {}});
  REQUIRE_FALSE(absent.has_value());
  CHECK(absent.error().error == ENODEV);
  const auto nobody = ask({"attach", "nobody", pci::make_sbdf(0, 0, 4, 0), {}, {}});
  REQUIRE_FALSE(nobody.has_value());

  signal();
  daemon.join();
  CHECK(outcome.has_value());
}

TEST_CASE_FIXTURE(simulated_daemon, "a signal while guests still work ends them in order") {
  pci::result<void> outcome;
  std::thread daemon{[&] { outcome = simulated->run({}, *socket, signals[0], true); }};
  signal();
  daemon.join();
  CHECK(outcome.has_value());
}

TEST_CASE("a guest that cannot do its work is told in the end") {
  // The policy refuses every kind of message interrupt and the function has no line.
  simulated_daemon all{"[[function]]\naddress=\"00:04.0\"\nmodel=\"nvme\"\n"
                       "[[guest]]\nname=\"a\"\ndriver=\"nvme\"\nfunctions=[\"00:04.0\"]\n"};
  config::settings settings;
  settings.devices.emplace_back().match = pci::make_sbdf(0, 0, 4, 0);
  settings.devices.front().policy.msix = false;
  const auto done = all.simulated->run(settings, *all.socket, all.signals[0], true);
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().context == "1 of 1 guests did not finish their work");
}

TEST_CASE("a dump that cannot be used is named") {
  const auto described = config::parse_simulation("[[function]]\naddress=\"00:04.0\"\ndump=\"/nowhere/dump\"\n", "f");
  REQUIRE(described.has_value());
  const auto made = simulation::make(*described);
  REQUIRE_FALSE(made.has_value());
  CHECK(made.error().error == ENOENT);
  CHECK(made.error().context.find("/nowhere/dump") == 0);
}
