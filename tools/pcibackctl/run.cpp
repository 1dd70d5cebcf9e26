// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/run.hpp"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "tools/pcibackctl/calls.hpp"
#include "tools/pcibackctl/client.hpp"
#include "tools/pcibackctl/config_view.hpp"
#include "tools/pcibackctl/look_commands.hpp"
#include "tools/pcibackctl/outcome.hpp"
#include "tools/pcibackctl/progress.hpp"
#include "tools/pcibackctl/remote.hpp"
#include "tools/pcibackctl/table.hpp"

namespace client_program {
namespace {

using pci::failure_kind;

complaint usage(const pci::failure& why) { return {failure_kind::usage, 0, why.context}; }

/// What a command shows; empty for one that only does something.
pci::result<std::string> text_of_result(const std::string& method, const std::string& result) {
  const auto how = view_of_output();
  return method == "list"        ? table_of(result, how, pci_ids())
         : method == "explain"   ? explanation_of(result, how, pci_ids())
         : method == "lines"     ? lines_of(result, how)
         : method == "config"    ? configuration_of(result, how, pci_ids())
         : method == "registers" ? writes_of(result, how)
         : method == "sim"       ? sim_message(result).map([](std::string line) { return std::move(line) + "\n"; })
                                 : pci::result<std::string>{};
}

int print(const std::string& method, const std::string& result, bool as_json) {
  const auto text = !as_json             ? text_of_result(method, result)
                    : method == "config" ? configuration_json(result)
                                         : pci::result<std::string>{result + "\n"};
  if (!text) {
    return complain({failure_kind::failed, text.error().error, text.error().context}, as_json);
  }
  std::cout << *text << std::flush;
  return std::cout ? EXIT_SUCCESS : EXIT_FAILURE;
}

patience patience_of(const options& given) {
  patience how;
  how.limit = std::chrono::milliseconds(static_cast<std::int64_t>(given.timeout * 1000));
  return how;
}

int run_sim(const options& given) {
  end_on_interrupt();
  const auto result = ask(given.socket, sim_request(given.sim), "sim", patience_of(given));
  return result ? print("sim", *result, given.as_json) : complain(result.error(), given.as_json);
}

int run(const std::string& method, const options& given) {
  if (const auto looked = run_look(method, given.socket, given.as_json, patience_of(given))) {
    return *looked ? EXIT_SUCCESS : complain(looked->error(), given.as_json);
  }
  const auto what = call_of(method, given);
  if (!what) {
    return complain(usage(what.error()), given.as_json);
  }
  const auto target = what->address ? pci::to_string(*what->address) : what->domain.value_or("");
  end_on_interrupt();
  const auto result = [&] {
    progress_line line(target.empty() ? method : method + " " + target, ::isatty(STDERR_FILENO) != 0);
    auto how = patience_of(given);
    how.waiting = [&line](std::chrono::seconds elapsed) { line.show(elapsed); };
    return ask(given.socket, *what, how);
  }();
  if (result) {
    return print(method, *result, given.as_json);
  }
  if (is_so_already(method, result.error())) {
    std::cout << (given.as_json ? already_json(result.error()) : result.error().text + "\n") << std::flush;
    return EXIT_SUCCESS;
  }
  return complain(result.error(), given.as_json);
}

} // namespace

int run_command(const std::string& command, const options& given, const std::string& version) {
  if (const auto done = run_inside(command, given.inside, given.socket, given.as_json, patience_of(given), version)) {
    return *done;
  }
  return command == "sim" ? run_sim(given) : run(method_of(command), given);
}

int run_remotely(const options& given, std::span<const std::string> words) {
  const bool terminal = ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0 && ::isatty(STDERR_FILENO) != 0;
  auto command = remote_command(given.host, words, terminal);
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

} // namespace client_program
