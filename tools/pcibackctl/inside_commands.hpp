// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "tools/pcibackctl/client.hpp"
#include "tools/pcibackctl/top.hpp"
#include "tools/pcibackctl/trace.hpp"

namespace client_program {

/// What the commands that look at more than one answer were given.
struct inside_words {
  trace_words trace;
  top_words top;
  std::string config;     ///< a file of settings: reload, doctor
  std::string root = "/"; ///< doctor: whose files are looked at
  std::string output;     ///< report: the file; empty is standard output
  bool names = false;     ///< report: nothing is replaced
};

/// Adds `trace`, `top`, `reload`, `doctor` and `report` to the command line.
void add_inside_commands(CLI::App& app, inside_words& into);

/// Runs one of these and prints what comes of it. Returns the exit code; empty: the command is none of them.
/// `version`: this program's.
[[nodiscard]] std::optional<int> run_inside(const std::string& command, const inside_words& words,
                                            const std::string& socket, bool as_json, const patience& how,
                                            const std::string& version);

/// The one line, or with `as_json` the one object, by which a command fails; its exit code.
int complain(const complaint& why, bool as_json);

} // namespace client_program
