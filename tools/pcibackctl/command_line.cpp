// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/command_line.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "tools/pcibackctl/arguments.hpp"

namespace client_program {
namespace {

constexpr double longest_timeout = 86400;

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

void add_sim(CLI::App& app, sim_words& into) {
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

void add_general_options(CLI::App& app, options& into, const std::string& version) {
  app.add_option("--socket", into.socket, "the daemon's control socket")->type_name("PATH")->capture_default_str();
  app.add_option("-H,--host", into.host, "run the same command on that host, by ssh")->type_name("HOST");
  app.add_option("--timeout", into.timeout, "how long to wait for the daemon's answer")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.001, longest_timeout))
      ->capture_default_str();
  app.add_flag("--json", into.as_json, "write one JSON object: the daemon's result, or {\"error\":...}");
  app.set_version_flag("--version", "pcibackctl " + version);
  app.footer("Exit codes: 0 done, or so already; 1 failed; 2 wrong command line; 3 no daemon; 4 refused;\n"
             "5 busy; 6 no such function or guest, or not held; 7 timed out; 130 Ctrl-C.");
}

} // namespace

void add_command_line(CLI::App& app, options& into, const std::string& version) {
  add_general_options(app, into, version);
  app.require_subcommand(1);
  app.fallthrough();
  add_commands(app, into);
  add_inside_commands(app, into.inside);
  add_sim(app, into.sim);
}

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
  const auto word = command_word(words, with_value);
  const CLI::App* command = nullptr;
  std::vector<std::string> commands;
  for (const auto* each : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands.push_back(each->get_name());
    command = each->get_name() == word ? each : command;
  }
  if (word && command == nullptr) {
    return unknown_command(*word, commands);
  }
  auto known = names(app);
  if (command != nullptr) {
    const auto own = names(*command);
    known.insert(known.end(), own.begin(), own.end());
  }
  for (const auto& each : words) {
    const auto name = each.substr(0, each.find('='));
    if (name.starts_with("--") && name.size() > 2 && std::ranges::find(known, name) == known.end()) {
      return unknown_option(each, word.value_or(""), known);
    }
  }
  if (!word) {
    return "a command is missing; pcibackctl --help shows those that there are";
  }
  return fmt::format("{}: {}; see pcibackctl {} --help", *word, wrong.what(), *word);
}

} // namespace client_program
