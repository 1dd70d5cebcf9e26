// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>

#include <doctest/doctest.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "temporary_directory.hpp"
#include "tools/pcibackctl/client.hpp"
#include "tools/pcibackd/simulation.hpp"

/// The whole daemon on a simulated host.
namespace test {

inline constexpr std::string_view two_guests = R"([[function]]
address = "0000:00:03.0"
model = "e1000e"
gsi = 23
[[function]]
address = "0000:00:04.0"
model = "nvme"
gsi = 20
[[function]]
address = "0000:00:09.0"
model = "e1000"
gsi = 10
[[guest]]
name = "web"
functions = ["0000:00:03.0", "0000:00:09.0"]
operations = 50
[[guest]]
name = "database"
functions = ["0000:00:04.0"]
driver = "nvme"
operations = 50
[[guest]]
name = "idle"
functions = []
)";

/// The whole daemon on a simulated host, but for the command line.
struct simulated_daemon {
  test::temporary_directory directory;
  std::string path = directory / "control.sock";
  std::array<int, 2> signals{};
  std::unique_ptr<daemon_program::control_socket> socket;
  std::unique_ptr<daemon_program::simulation> simulated;

  explicit simulated_daemon(std::string_view what = two_guests) {
    REQUIRE(::pipe(signals.data()) == 0);
    auto listening = daemon_program::control_socket::listen(path);
    REQUIRE(listening.has_value());
    socket = std::move(*listening);
    auto described = config::parse_simulation(what, "f");
    REQUIRE(described.has_value());
    auto made = daemon_program::simulation::make(*described);
    REQUIRE(made.has_value());
    simulated = std::move(*made);
  }
  ~simulated_daemon() {
    ::close(signals[0]);
    ::close(signals[1]);
  }
  void signal() const {
    signalfd_siginfo what{};
    what.ssi_signo = SIGTERM;
    CHECK(::write(signals[1], &what, sizeof what) == sizeof what);
  }
  [[nodiscard]] pci::result<std::string> ask(const client_program::call& what) const {
    return client_program::exchange(path, client_program::request_line(what)).and_then(client_program::result_of);
  }
  /// The list as soon as it shows `text`, or what it shows after 20 s.
  [[nodiscard]] std::string list_with(const std::string& text) const {
    std::string list;
    for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
         std::chrono::steady_clock::now() < end;) {
      list = ask({"list", {}, {}, {}, {}}).value_or("");
      if (list.find(text) != std::string::npos) {
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return list;
  }
};

} // namespace test
