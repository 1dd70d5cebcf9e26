// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include <CLI/CLI.hpp>

#include "pci/address.hpp"
#include "tools/pcibackctl/client.hpp"
#include "tools/pcibackctl/look_commands.hpp"
#include "tools/pcibackctl/table.hpp"

namespace {

constexpr int usage_error = 2;

struct options {
  std::string socket = "/run/pcibackd/control.sock";
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
};

int complain(const std::string& line) {
  std::cerr << "pcibackctl: " << line << '\n';
  return EXIT_FAILURE;
}

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
      ->add_option("BDF|DOMAIN", into.target, "the function, or the guest's name or number")
      ->required();
  app.add_subcommand("list", "show the held functions and who has them")
      ->add_flag("--json", into.as_json, "everything that the daemon knows, for scripts");
  for (const auto& [name, what] : {std::pair{"actors", "show who does what inside the daemon, and how each of them is"},
                                   std::pair{"watch", "tell what happens, a line each, until it is interrupted"},
                                   std::pair{"metrics", "print the daemon's metrics as Prometheus reads them"}}) {
    auto* command = app.add_subcommand(name, what);
    if (std::string_view{name} != "metrics") {
      command->add_flag("--json", into.as_json, "for scripts");
    }
  }
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
  writes->add_flag("--json", into.as_json, "for scripts, with all virtual registers");
}

/// The daemon's name for a command.
std::string method_of(const std::string& command) {
  return command == "interrupt-control" ? "interrupt_control" : command == "writes" ? "registers" : command;
}

// Only what the method has: the daemon refuses parameters that it does not know.
pci::result<client_program::call> call_of(const std::string& method, const options& given) {
  // What differs is how the answer is shown.
  client_program::call what{method == "lines" ? "list" : method, {}, {}, {}, {}};
  if (!given.domain.empty()) {
    what.domain = given.domain;
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
  if (method == "drain") {
    const auto address = pci::parse_sbdf(given.target);
    address ? (void)(what.address = *address) : (void)(what.domain = given.target);
    return what;
  }
  if (what.method != "list") {
    const auto address = pci::parse_sbdf(given.address);
    if (!address) {
      return pci::fail(address.error().error,
                       address.error().context + "; give a function such as 0000:03:00.0, as lspci -D shows it");
    }
    what.address = *address;
  }
  return what;
}

int print(const std::string& method, const std::string& result, bool as_json) {
  if (method != "list" && method != "lines" && method != "registers") {
    return EXIT_SUCCESS;
  }
  const auto text = as_json             ? pci::result<std::string>{result + "\n"}
                    : method == "list"  ? client_program::table_of(result)
                    : method == "lines" ? client_program::lines_of(result)
                                        : client_program::writes_of(result);
  if (!text) {
    return complain(text.error().context);
  }
  std::cout << *text << std::flush;
  return std::cout ? EXIT_SUCCESS : EXIT_FAILURE;
}

int run(const std::string& method, const options& given) {
  if (const auto looked = client_program::run_look(method, given.socket, given.as_json)) {
    return *looked ? EXIT_SUCCESS : complain(looked->error().context);
  }
  const auto what = call_of(method, given);
  if (!what) {
    complain(what.error().context);
    return usage_error;
  }
  const auto result =
      client_program::exchange(given.socket, client_program::request_line(*what)).and_then(client_program::result_of);
  return result ? print(method, *result, given.as_json) : complain(result.error().context);
}

int parse_and_run(int count, char** words) {
  CLI::App app{"Commands pcibackd, the Xen PCI backend daemon.", "pcibackctl"};
  options given;
  app.add_option("--socket", given.socket, "the daemon's control socket")->type_name("PATH")->capture_default_str();
  app.set_version_flag("--version", "pcibackctl " PCIBACKD_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  add_commands(app, given);
  try {
    app.parse(count, words);
    return run(method_of(app.get_subcommands().front()->get_name()), given);
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
