#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include "config/settings.hpp"
#include "config/simulation.hpp"
#include "platform/real/host.hpp"
#include "tools/pcibackd/control_socket.hpp"
#include "tools/pcibackd/daemon.hpp"
#include "tools/pcibackd/log.hpp"
#include "tools/pcibackd/signals.hpp"
#include "tools/pcibackd/simulation.hpp"

namespace {

constexpr const char* default_config = "/etc/pcibackd/pcibackd.toml";

struct options {
  std::string config;
  std::string simulate;
  std::string socket;
  bool check_config = false;
  bool exit_when_done = false;
};

/// Ends the program's say: one line, exit status 1.
int complain(const std::string& line) {
  std::cerr << "pcibackd: " << line << '\n';
  return EXIT_FAILURE;
}

// What the settings say of themselves is a whole line; the errno would only repeat it.
std::string line_of(const pci::failure& why) {
  return why.error == EINVAL ? why.context : pci::to_string(why);
}

void add_options(CLI::App& app, options& into) {
  app.add_option("--config", into.config,
                 std::string{"settings, in TOML; "} + default_config + " if it is there and no other is named")
      ->type_name("FILE");
  app.add_flag("--check-config", into.check_config, "read the settings, say what is wrong with them, and end");
  auto* simulate = app.add_option("--simulate", into.simulate,
                                  "serve the simulated host that FILE describes instead of this machine")
                       ->type_name("FILE");
  app.add_flag("--exit-when-done", into.exit_when_done,
               "end when the simulated guests have done their work, with an account of it")
      ->needs(simulate);
  app.add_option("--socket", into.socket, "the control socket, instead of the settings'")->type_name("PATH");
  app.set_version_flag("--version", "pcibackd " PCIBACKD_VERSION);
}

pci::result<config::settings> read_settings(const options& given) {
  if (given.config.empty() && !std::filesystem::exists(default_config)) {
    return config::settings{};
  }
  return config::load(given.config.empty() ? default_config : given.config);
}

int check(const options& given) {
  const auto settings = read_settings(given);
  if (!settings) {
    return complain(line_of(settings.error()));
  }
  if (!given.simulate.empty()) {
    if (const auto simulated = config::load_simulation(given.simulate); !simulated) {
      return complain(line_of(simulated.error()));
    }
  }
  std::cout << "the settings are good: " << settings->devices.size() << " devices\n";
  return EXIT_SUCCESS;
}

pci::result<void> run_real(const config::settings& settings, daemon_program::control_socket& socket, int signals) {
  auto host = platform::real_host::open();
  if (!host) {
    return tl::unexpected(host.error());
  }
  for (const auto& warning : (*host)->warnings()) {
    spdlog::warn("{}", warning);
  }
  return daemon_program::run_daemon(**host, settings, socket, signals);
}

pci::result<void> run_simulated(const options& given, const config::settings& settings,
                                daemon_program::control_socket& socket, int signals) {
  const auto described = config::load_simulation(given.simulate);
  if (!described) {
    return tl::unexpected(described.error());
  }
  auto simulated = daemon_program::simulation::make(*described);
  if (!simulated) {
    return tl::unexpected(simulated.error());
  }
  return (*simulated)->run(settings, socket, signals, given.exit_when_done);
}

int run(const options& given) {
  // Before any thread is made, and before the log, whose sinks may make some.
  const auto signals = daemon_program::take_signals();
  if (!signals) {
    return complain(line_of(signals.error()));
  }
  auto settings = read_settings(given);
  if (!settings) {
    return complain(line_of(settings.error()));
  }
  if (!given.socket.empty()) {
    settings->socket = given.socket;
  }
  daemon_program::start_log(settings->level);
  // The socket first: a second daemon must not touch the functions of the first.
  auto socket = daemon_program::control_socket::listen(settings->socket);
  if (!socket) {
    return complain(line_of(socket.error()));
  }
  const auto done = given.simulate.empty() ? run_real(*settings, **socket, signals->get())
                                           : run_simulated(given, *settings, **socket, signals->get());
  return done ? EXIT_SUCCESS : complain(line_of(done.error()));
}

} // namespace

int main(int count, char** words) {
  CLI::App app{"Serves PCI functions of this host to Xen PV guests.", "pcibackd"};
  options given;
  add_options(app, given);
  try {
    app.parse(count, words);
    return given.check_config ? check(given) : run(given);
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong) == 0 ? EXIT_SUCCESS : 2;
  } catch (const std::exception& bug) {
    return complain(bug.what());
  }
}
