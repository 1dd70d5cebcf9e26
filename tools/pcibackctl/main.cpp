// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "tools/pcibackctl/command_line.hpp"
#include "tools/pcibackctl/outcome.hpp"
#include "tools/pcibackctl/run.hpp"

namespace {

int parse_and_run(int count, char** words) {
  CLI::App app{"Commands pcibackd, the Xen PCI backend daemon.", "pcibackctl"};
  client_program::options given;
  client_program::add_command_line(app, given, PCIBACKD_VERSION);
  const std::vector<std::string> given_words(words + 1, words + count);
  try {
    app.parse(count, words);
  } catch (const CLI::ParseError& wrong) {
    if (wrong.get_exit_code() == 0) { // --help, --version
      return app.exit(wrong);
    }
    const bool as_json = std::ranges::find(given_words, "--json") != given_words.end();
    return client_program::complain({pci::failure_kind::usage, 0, client_program::usage_line(app, wrong, given_words)},
                                    as_json);
  }
  if (app.count("--host") != 0) {
    return client_program::run_remotely(given, given_words);
  }
  return client_program::run_command(app.get_subcommands().front()->get_name(), given, PCIBACKD_VERSION);
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
