// SPDX-License-Identifier: GPL-2.0-or-later
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <optional>

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include "actors/root/assignments.hpp"
#include "config/settings.hpp"
#include "config/simulation.hpp"
#include "platform/linux/pci_host.hpp"
#include "platform/linux/storage.hpp"
#include "platform/xen/store.hpp"
#include "tools/pcibackd/boot_files.hpp"
#include "tools/pcibackd/check_config.hpp"
#include "tools/pcibackd/check_upgrade.hpp"
#include "tools/pcibackd/control_socket.hpp"
#include "tools/pcibackd/daemon.hpp"
#include "tools/pcibackd/log.hpp"
#include "tools/pcibackd/on_this_host.hpp"
#include "tools/pcibackd/signals.hpp"
#include "tools/pcibackd/simulation.hpp"

namespace {

constexpr int usage_error = 2;
constexpr const char* default_config = "/etc/pcibackd/pcibackd.toml";

struct options {
  std::string config;
  std::string simulate;
  std::string scenario;
  std::string socket;
  bool check_config = false;
  bool print_udev_rules = false;
  bool exit_when_done = false;
  bool one_process = false;
  bool check_sandbox = false;
  bool check_upgrade = false;
};

/// Ends the program's say: one line, exit status 1.
int complain(const std::string& line) {
  std::cerr << "pcibackd: " << line << '\n';
  return EXIT_FAILURE;
}

void add_options(CLI::App& app, options& into) {
  app.add_option("--config", into.config,
                 std::string{"settings, in TOML; "} + default_config + " if it is there and no other is named")
      ->type_name("FILE");
  app.add_flag("--check-config", into.check_config,
               "say all that is wrong with the settings (and the simulation), and end");
  app.add_flag("--print-udev-rules", into.print_udev_rules,
               "print the udev rules that hide the settings' functions while this machine boots, and end");
  app.add_flag("--check-upgrade", into.check_upgrade,
               "say what this version would not take over of the daemon that runs, and end");
  auto* simulate = app.add_option("--simulate", into.simulate,
                                  "serve the simulated host that FILE describes instead of this machine")
                       ->type_name("FILE");
  app.add_flag("--exit-when-done", into.exit_when_done,
               "end when the simulated guests have done their work and all events have been, with an account")
      ->needs(simulate);
  app.add_option("--scenario", into.scenario, "what happens on the simulated host, instead of its file's events")
      ->type_name("FILE")
      ->needs(simulate);
  auto* one = app.add_flag("--one-process", into.one_process,
                           "serve guests in the process that has all rights, instead of in one that has none")
                  ->excludes(simulate);
  app.add_flag("--check-sandbox", into.check_sandbox,
               "try all that the process which serves guests must not be able to do, say what came of it, and end")
      ->excludes(simulate)
      ->excludes(one);
  app.add_option("--socket", into.socket, "the control socket, instead of the settings'")->type_name("PATH");
  app.set_version_flag("--version", "pcibackd " PCIBACKD_VERSION);
}

/// What the files that were named say.
struct described {
  config::settings settings;
  std::optional<config::simulation> simulated;
  std::string file; ///< of the settings; empty: there is none
};

pci::result<std::vector<config::event>> read_scenario(const std::string& file, const config::simulation& of) {
  return config::read_file(file).and_then([&](const std::string& text) {
    return config::parse_scenario(text)
        .and_then([&](std::vector<config::event> events) {
          return config::unless(config::check_events(events, of)).map([&] { return std::move(events); });
        })
        .map_error([&](const config::complaints& wrong) { return config::to_failure(wrong, file); });
  });
}

// A mistake in a file is a whole line already; the errno of EINVAL would only repeat it.
pci::result<described> read_files(const options& given) {
  described all;
  if (!given.config.empty() || std::filesystem::exists(default_config)) {
    all.file = given.config.empty() ? default_config : given.config;
    auto settings = config::load(all.file);
    if (!settings) {
      return tl::unexpected(settings.error());
    }
    all.settings = std::move(*settings);
  }
  if (!given.simulate.empty()) {
    auto simulated = config::load_simulation(given.simulate);
    if (!simulated) {
      return tl::unexpected(simulated.error());
    }
    all.simulated = std::move(*simulated);
  }
  if (!given.scenario.empty()) {
    auto events = read_scenario(given.scenario, *all.simulated);
    if (!events) {
      return tl::unexpected(events.error());
    }
    all.simulated->events = std::move(*events);
  }
  if (!given.socket.empty()) {
    all.settings.socket = given.socket;
    all.settings.socket_given = true;
  }
  return all;
}

std::string line_of_file(const pci::failure& why) { return why.error == EINVAL ? why.context : pci::to_string(why); }

/// Every guest that runs has its names in xenstore, where there is one.
std::optional<std::vector<std::string>> running_guests() {
  std::signal(SIGPIPE, SIG_IGN); // libxenstore wants it so
  const auto store = platform::xen::store::open();
  if (!store) {
    return std::nullopt;
  }
  std::vector<std::string> names;
  for (const auto& guest : actors::list_guests(**store)) {
    names.push_back(guest.names.name);
    names.push_back(guest.names.uuid);
  }
  return names;
}

int check(const options& given) {
  const auto file = [](const std::string& name) {
    return name.empty() ? std::nullopt : std::optional<std::filesystem::path>{name};
  };
  daemon_program::files_to_check files{file(given.config), file(given.simulate), file(given.scenario)};
  if (!files.settings && std::filesystem::exists(default_config)) {
    files.settings = default_config;
  }
  const auto report = daemon_program::check_config(files, running_guests);
  for (const auto& line : report.mistakes) {
    complain(line);
  }
  for (const auto& line : report.warnings) {
    complain("warning: " + line);
  }
  for (const auto& line : report.summary) {
    std::cout << line << '\n';
  }
  if (!files.settings) {
    std::cout << default_config << " does not exist; the defaults hold\n";
  }
  return report.good() ? EXIT_SUCCESS : EXIT_FAILURE;
}

// What this machine runs from is dom0's, but for what the settings override.
pci::result<std::map<pci::sbdf, std::string>> spared_by(const config::settings& settings) {
  platform::linux_host::sysfs system{"/sys"};
  auto spared = platform::linux_host::storage_functions(system, platform::linux_host::sysfs{"/proc"});
  if (!spared) {
    return spared;
  }
  platform::linux_host::pci_host host{system};
  for (auto& [address, what] : *spared) {
    what.insert(0, "carries ");
  }
  std::erase_if(*spared, [&](const auto& entry) {
    const auto function = host.identify(entry.first);
    const auto* device = function ? settings.find(*function) : nullptr;
    return device != nullptr && device->override_boot;
  });
  return spared;
}

int print_udev_rules(const options& given) {
  const auto all = read_files(given);
  if (!all) {
    return complain(line_of_file(all.error()));
  }
  const auto spared = spared_by(all->settings);
  if (!spared) {
    return complain("what this machine runs from cannot be told: " + pci::to_string(spared.error()));
  }
  std::cout << daemon_program::udev_rules(all->settings, *spared) << std::flush;
  return std::cout ? EXIT_SUCCESS : EXIT_FAILURE;
}

int check_upgrade(const options& given) {
  const auto all = read_files(given);
  if (!all) {
    return complain(line_of_file(all.error()));
  }
  const auto kept = daemon_program::read_kept_records(all->settings.runtime);
  if (!kept) {
    return complain(pci::to_string(kept.error()));
  }
  const auto report = daemon_program::check_upgrade(*kept, PCIBACKD_VERSION);
  for (const auto& line : report.losses) {
    complain(line);
  }
  std::cout << report.summary << '\n';
  return report.losses.empty() ? EXIT_SUCCESS : EXIT_FAILURE;
}

int check_sandbox(const options& given) {
  const auto signals = daemon_program::take_signals();
  if (!signals) {
    return complain(pci::to_string(signals.error()));
  }
  const auto all = read_files(given);
  if (!all) {
    return complain(line_of_file(all.error()));
  }
  const auto done = daemon_program::check_sandbox(all->settings, signals->get());
  return done ? *done : complain(pci::to_string(done.error()));
}

pci::result<void> run_simulated(const options& given, const described& all, daemon_program::control_socket& socket,
                                int signals) {
  auto simulated = daemon_program::simulation::make(*all.simulated);
  if (!simulated) {
    return tl::unexpected(simulated.error());
  }
  return (*simulated)->run(all.settings, socket, signals, given.exit_when_done);
}

int run(const options& given) {
  // Before any thread is made, the log's included.
  const auto signals = daemon_program::take_signals();
  if (!signals) {
    return complain(pci::to_string(signals.error()));
  }
  const auto all = read_files(given);
  if (!all) {
    return complain(line_of_file(all.error()));
  }
  daemon_program::start_log(all->settings.level, PCIBACKD_VERSION);
  // The socket first: a second daemon must not touch the functions of the first.
  const auto socket =
      daemon_program::patiently([&] { return daemon_program::control_socket::listen(all->settings.socket); });
  if (!socket) {
    return complain(pci::to_string(socket.error()));
  }
  const auto done =
      all->simulated
          ? run_simulated(given, *all, **socket, signals->get()).map([] { return EXIT_SUCCESS; })
          : daemon_program::run_on_this_host(all->settings, **socket, signals->get(), given.one_process, all->file);
  return done ? *done : complain(pci::to_string(done.error()));
}

int parse_and_run(int count, char** words) {
  CLI::App app{"Serves PCI functions of this host to Xen PV guests.", "pcibackd"};
  options given;
  add_options(app, given);
  try {
    app.parse(count, words);
    if (given.check_config) {
      return check(given);
    }
    if (given.check_upgrade) {
      return check_upgrade(given);
    }
    if (given.check_sandbox) {
      return check_sandbox(given);
    }
    return given.print_udev_rules ? print_udev_rules(given) : run(given);
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong) == 0 ? EXIT_SUCCESS : usage_error;
  }
}

} // namespace

int main(int count, char** words) {
  try {
    return parse_and_run(count, words);
  } catch (const std::exception& bug) {
    static_cast<void>(std::fputs(bug.what(), stderr));
  } catch (...) {
    static_cast<void>(std::fputs("an unknown exception", stderr));
  }
  static_cast<void>(std::fputs("; this is a bug\n", stderr));
  return EXIT_FAILURE;
}
