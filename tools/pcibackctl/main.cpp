// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <span>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "pci/address.hpp"
#include "tools/pcibackctl/arguments.hpp"
#include "tools/pcibackctl/client.hpp"
#include "tools/pcibackctl/config_view.hpp"
#include "tools/pcibackctl/inside_commands.hpp"
#include "tools/pcibackctl/look_commands.hpp"
#include "tools/pcibackctl/outcome.hpp"
#include "tools/pcibackctl/progress.hpp"
#include "tools/pcibackctl/remote.hpp"
#include "tools/pcibackctl/sim.hpp"
#include "tools/pcibackctl/table.hpp"

namespace {

using client_program::complain;
using client_program::complaint;
using pci::failure_kind;

constexpr double longest_timeout = 86400;

struct options {
  std::string socket = "/run/pcibackd/control.sock";
  std::string host;
  double timeout = 150;
  std::string domain;
  std::string address;
  std::string state;
  std::string quirk;
  std::string target;
  std::string rdm;
  bool seize = false;
  bool driverless = false;
  bool remove = false;
  bool as_json = false;
  client_program::sim_words sim;
  client_program::inside_words inside;
};

complaint usage(const pci::failure& why) { return {failure_kind::usage, 0, why.context}; }

void add_address(CLI::App& to, options& into) {
  to.add_option("BDF", into.address, "the function, such as 0000:03:00.0")->required();
}

void add_domain(CLI::App& to, options& into) {
  to.add_option("DOMAIN", into.domain, "the guest's name or number")->required();
}

void add_commands(CLI::App& app, options& into) {
  auto* hold = app.add_subcommand("hold", "take a function from dom0");
  add_address(*hold, into);
  hold->add_flag("--seize", into.seize, "from whatever driver has it");
  auto* release = app.add_subcommand("release", "give a function back to dom0");
  add_address(*release, into);
  release->add_flag("--driverless", into.driverless, "leave it without a driver");
  add_address(*app.add_subcommand("retry", "scrub a function again that could not be shown to be clean"), into);
  for (const auto& [name, what] : {std::pair{"attach", "hand a held function to a running guest"},
                                   std::pair{"detach", "take a function from a running guest"}}) {
    auto* command = app.add_subcommand(name, what);
    add_domain(*command, into);
    add_address(*command, into);
    if (std::string_view{name} == "attach") {
      command->add_option("--rdm", into.rdm, "about reserved memory (RMRR) that other functions use too")
          ->check(CLI::IsMember({"strict", "relaxed"}));
    }
  }
  app.add_subcommand("drain", "take a function from its guest, or all from a guest: by force if it does not answer")
      ->add_option("BDF|GUEST", into.target, "the function, or the guest's name or number")
      ->required();
  app.add_subcommand("list", "show the held functions, who has them, and what the settings want in vain");
  app.add_subcommand("explain", "say what is the matter with a function or a guest, and how to mend it")
      ->add_option("BDF|GUEST", into.target, "the function, or the guest's name or number")
      ->required();
  app.add_subcommand("actors", "show who does what inside the daemon, and how each of them is");
  app.add_subcommand("watch", "tell what happens, a line each, until it is interrupted");
  app.add_subcommand("metrics", "print the daemon's metrics as Prometheus reads them");
  add_address(
      *app.add_subcommand(
          "config",
          "show a function's configuration space as its guest reads it, decoded, with what the hardware has instead"),
      into);
  app.add_subcommand("lines", "show the interrupt lines of the held functions, and what is done about them");
  for (const auto& [name, what] :
       {std::pair{"acknowledge", "turn the acknowledging of a shared interrupt line on or off"},
        std::pair{"permissive", "let the guest write all registers, until its lease ends"},
        std::pair{"interrupt-control", "let a stub domain switch INTx, MSI and MSI-X itself, until its lease ends"}}) {
    auto* command = app.add_subcommand(name, what);
    add_address(*command, into);
    command->add_option("STATE", into.state, "on or off")->required()->check(CLI::IsMember({"on", "off"}));
  }
  auto* quirk = app.add_subcommand("quirk", "let the guest write one more register, until its lease ends");
  add_address(*quirk, into);
  quirk->add_option("QUIRK", into.quirk, "REGISTER:SIZE:MASK in hexadecimal, such as 4c:4:ffffffff")->required();
  quirk->add_flag("--remove", into.remove, "do not let it any more");
  auto* writes = app.add_subcommand("writes", "show what the guest wrote in vain, and which quirks would let it");
  add_address(*writes, into);
}

void add_sim(CLI::App& app, client_program::sim_words& into) {
  auto* sim = app.add_subcommand("sim", "do something to a simulated host (pcibackd --simulate)");
  sim->add_option("ACTION", into.action,
                  "to a guest: start, kill, reboot, crash, flood; to a function: raise, storm, error, unplug, plug; "
                  "to either: stall")
      ->required();
  sim->add_option("GUEST|BDF", into.target, "the guest's name, or the function, such as 0000:03:00.0")->required();
  sim->add_option("--seconds", into.seconds, "how long a flood, a storm or a stall takes (5)");
  sim->add_option("--count", into.count, "how many interrupts are raised (1)");
  sim->add_option("--vector", into.vector, "which MSI-X entry is raised (0)");
  sim->add_option("--severity", into.severity, "of an error: corrected, nonfatal or fatal (nonfatal)");
}

/// The daemon's name for a command.
std::string method_of(const std::string& command) {
  return command == "interrupt-control" ? "interrupt_control" : command == "writes" ? "registers" : command;
}

pci::result<client_program::call> with_target(client_program::call what, const options& given) {
  const auto target = client_program::target_argument(given.target);
  if (!target) {
    return tl::unexpected(target.error());
  }
  if (const auto* address = std::get_if<pci::sbdf>(&*target)) {
    what.address = *address;
  } else {
    what.domain = std::get<std::string>(*target);
  }
  return what;
}

pci::result<client_program::call> with_address(client_program::call what, const options& given) {
  const auto address = client_program::address_argument(given.address);
  if (address) {
    what.address = *address;
  }
  return address ? pci::result<client_program::call>{std::move(what)} : tl::unexpected(address.error());
}

// Only what the method has: the daemon refuses parameters that it does not know.
pci::result<client_program::call> call_of(const std::string& method, const options& given) {
  // What differs is how the answer is shown.
  client_program::call what{method == "lines" ? "list" : method, {}, {}, {}, {}};
  if (!given.domain.empty()) {
    const auto guest = client_program::guest_argument(given.domain);
    if (!guest) {
      return tl::unexpected(guest.error());
    }
    what.domain = *guest;
  }
  if (method == "hold") {
    what.seize = given.seize;
  }
  if (!given.rdm.empty()) {
    what.rdm = given.rdm;
  }
  if (method == "release" && given.driverless) {
    what.probe = false;
  }
  if (!given.state.empty()) {
    what.on = given.state == "on";
  }
  if (method == "quirk") {
    what.quirk = given.quirk;
    what.on = !given.remove;
  }
  if (method == "drain" || method == "explain") {
    return with_target(std::move(what), given);
  }
  return what.method == "list" ? pci::result<client_program::call>{std::move(what)}
                               : with_address(std::move(what), given);
}

/// What a command shows; empty for one that only does something.
pci::result<std::string> shown(const std::string& method, const std::string& result) {
  const auto how = client_program::view_of_output();
  return method == "list"        ? client_program::table_of(result, how, client_program::pci_ids())
         : method == "explain"   ? client_program::explanation_of(result, how, client_program::pci_ids())
         : method == "lines"     ? client_program::lines_of(result, how)
         : method == "config"    ? client_program::configuration_of(result, how, client_program::pci_ids())
         : method == "registers" ? client_program::writes_of(result, how)
         : method == "sim"
             ? client_program::sim_message(result).map([](std::string line) { return std::move(line) + "\n"; })
             : pci::result<std::string>{};
}

int print(const std::string& method, const std::string& result, bool as_json) {
  const auto text = !as_json             ? shown(method, result)
                    : method == "config" ? client_program::configuration_json(result)
                                         : pci::result<std::string>{result + "\n"};
  if (!text) {
    return complain({failure_kind::failed, text.error().error, text.error().context}, as_json);
  }
  std::cout << *text << std::flush;
  return std::cout ? EXIT_SUCCESS : EXIT_FAILURE;
}

client_program::patience patience_of(const options& given) {
  client_program::patience how;
  how.limit = std::chrono::milliseconds(static_cast<std::int64_t>(given.timeout * 1000));
  return how;
}

int run_sim(const options& given) {
  client_program::end_on_interrupt();
  const auto result =
      client_program::ask(given.socket, client_program::sim_request(given.sim), "sim", patience_of(given));
  return result ? print("sim", *result, given.as_json) : complain(result.error(), given.as_json);
}

int run(const std::string& method, const options& given) {
  if (const auto looked = client_program::run_look(method, given.socket, given.as_json, patience_of(given))) {
    return *looked ? EXIT_SUCCESS : complain(looked->error(), given.as_json);
  }
  const auto what = call_of(method, given);
  if (!what) {
    return complain(usage(what.error()), given.as_json);
  }
  const auto target = what->address ? pci::to_string(*what->address) : what->domain.value_or("");
  client_program::end_on_interrupt();
  const auto result = [&] {
    client_program::progress_line line(target.empty() ? method : method + " " + target, ::isatty(STDERR_FILENO) != 0);
    auto how = patience_of(given);
    how.waiting = [&line](std::chrono::seconds elapsed) { line.show(elapsed); };
    return client_program::ask(given.socket, *what, how);
  }();
  if (result) {
    return print(method, *result, given.as_json);
  }
  if (client_program::is_so_already(method, result.error())) {
    std::cout << (given.as_json ? client_program::already_json(result.error()) : result.error().text + "\n")
              << std::flush;
    return EXIT_SUCCESS;
  }
  return complain(result.error(), given.as_json);
}

/// The same on another host. Returns only when ssh cannot be executed.
int run_remotely(const options& given, std::span<const std::string> words) {
  const bool terminal = ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0 && ::isatty(STDERR_FILENO) != 0;
  auto command = client_program::remote_command(given.host, words, terminal);
  if (!command) {
    return complain(usage(command.error()), given.as_json);
  }
  std::vector<char*> pointers;
  for (auto& word : *command) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  ::execvp(pointers.front(), pointers.data());
  return complain({failure_kind::failed, errno, fmt::format("ssh cannot be run: {}; install it", std::strerror(errno))},
                  given.as_json);
}

/// What is wrong with the command line, in a line of this program's.
std::string usage_line(const CLI::App& app, const CLI::ParseError& wrong, std::span<const std::string> words) {
  const std::vector<std::string> with_value{"--socket", "--timeout", "-H", "--host"};
  const auto names = [](const CLI::App& of) {
    std::vector<std::string> all;
    for (const auto* option : of.get_options()) {
      for (const auto& name : option->get_lnames()) {
        all.push_back("--" + name);
      }
    }
    return all;
  };
  const auto word = client_program::command_word(words, with_value);
  const CLI::App* command = nullptr;
  std::vector<std::string> commands;
  for (const auto* each : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands.push_back(each->get_name());
    command = each->get_name() == word ? each : command;
  }
  if (word && command == nullptr) {
    return client_program::unknown_command(*word, commands);
  }
  auto known = names(app);
  if (command != nullptr) {
    const auto own = names(*command);
    known.insert(known.end(), own.begin(), own.end());
  }
  for (const auto& each : words) {
    const auto name = each.substr(0, each.find('='));
    if (name.starts_with("--") && name.size() > 2 && std::ranges::find(known, name) == known.end()) {
      return client_program::unknown_option(each, word.value_or(""), known);
    }
  }
  if (!word) {
    return "a command is missing; pcibackctl --help shows those that there are";
  }
  return fmt::format("{}: {}; see pcibackctl {} --help", *word, wrong.what(), *word);
}

void add_general_options(CLI::App& app, options& into) {
  app.add_option("--socket", into.socket, "the daemon's control socket")->type_name("PATH")->capture_default_str();
  app.add_option("-H,--host", into.host, "run the same command on that host, by ssh")->type_name("HOST");
  app.add_option("--timeout", into.timeout, "how long to wait for the daemon's answer")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.001, longest_timeout))
      ->capture_default_str();
  app.add_flag("--json", into.as_json, "write one JSON object: the daemon's result, or {\"error\":...}");
  app.set_version_flag("--version", "pcibackctl " PCIBACKD_VERSION);
  app.footer("Exit codes: 0 done, or so already; 1 failed; 2 wrong command line; 3 no daemon; 4 refused;\n"
             "5 busy; 6 no such function or guest, or not held; 7 timed out; 130 Ctrl-C.");
}

int parse_and_run(int count, char** words) {
  CLI::App app{"Commands pcibackd, the Xen PCI backend daemon.", "pcibackctl"};
  options given;
  add_general_options(app, given);
  app.require_subcommand(1);
  app.fallthrough();
  add_commands(app, given);
  client_program::add_inside_commands(app, given.inside);
  add_sim(app, given.sim);
  const std::vector<std::string> given_words(words + 1, words + count);
  try {
    app.parse(count, words);
  } catch (const CLI::ParseError& wrong) {
    if (wrong.get_exit_code() == 0) { // --help, --version
      return app.exit(wrong);
    }
    const bool as_json = std::ranges::find(given_words, "--json") != given_words.end();
    return complain({failure_kind::usage, 0, usage_line(app, wrong, given_words)}, as_json);
  }
  if (app.count("--host") != 0) {
    return run_remotely(given, given_words);
  }
  const auto& command = app.get_subcommands().front()->get_name();
  if (const auto done = client_program::run_inside(command, given.inside, given.socket, given.as_json,
                                                   patience_of(given), PCIBACKD_VERSION)) {
    return *done;
  }
  return command == "sim" ? run_sim(given) : run(method_of(command), given);
}

} // namespace

int main(int count, char** words) {
  std::setlocale(LC_CTYPE, ""); // cards' names are UTF-8
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
