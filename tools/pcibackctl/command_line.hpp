// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <span>
#include <string>

#include <CLI/CLI.hpp>

#include "tools/pcibackctl/inside_commands.hpp"
#include "tools/pcibackctl/sim.hpp"

namespace client_program {

/// What was typed.
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
  sim_words sim;
  inside_words inside;
};

/// All commands and their options, of which the command line fills in `into`. `version`: this program's.
void add_command_line(CLI::App& app, options& into, const std::string& version);

/// What is wrong with the command line, in a line of this program's.
[[nodiscard]] std::string usage_line(const CLI::App& app, const CLI::ParseError& wrong,
                                     std::span<const std::string> words);

} // namespace client_program
