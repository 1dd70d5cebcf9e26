// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/inside_commands.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>

#include <fmt/format.h>

#include "tools/pcibackctl/doctor.hpp"
#include "tools/pcibackctl/progress.hpp"
#include "tools/pcibackctl/reload.hpp"
#include "tools/pcibackctl/report.hpp"
#include "tools/pcibackctl/top_view.hpp"
#include "tools/pcibackctl/trace_view.hpp"

namespace client_program {
namespace {

constexpr const char* default_settings = "/etc/pcibackd/pcibackd.toml";

void add_trace(CLI::App& app, trace_words& into) {
  auto* trace =
      app.add_subcommand("trace", "show the operations of guests as they are answered, until it is interrupted");
  trace->add_option("BDF|GUEST", into.target, "of this function, or of this guest's name or number, alone");
  trace->add_option("--only", into.only, "these alone; may be given several times")
      ->type_name("KIND")
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"reads", "writes", "interrupts", "errors"}));
  trace->add_option("--count", into.count, "end after so many")->type_name("NUMBER");
  trace->add_option("-w,--write", into.file, "write a file for Wireshark (pcapng) instead; - is standard output")
      ->type_name("FILE");
}

void add_top(CLI::App& app, top_words& into) {
  auto* top = app.add_subcommand("top", "show what guests and functions do, on the whole screen, until q is pressed");
  top->add_flag("-b,--batch", into.batch, "write text instead, for a pipe or a file");
  top->add_option("-n,--number", into.frames, "end after so many looks")->type_name("NUMBER");
  top->add_option("-d,--delay", into.delay, "seconds between two looks (2)")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.1, 3600.0));
  top->add_option("--sort", into.order, "what comes first (operations)")
      ->check(CLI::IsMember({"operations", "errors", "interrupts", "guest", "device"}));
}

int print_or_complain(const pci::result<std::string>& text, bool as_json) {
  if (!text) {
    return complain({pci::failure_kind::failed, text.error().error, text.error().context}, as_json);
  }
  std::cout << *text << std::flush;
  return std::cout ? EXIT_SUCCESS : EXIT_FAILURE;
}

int reload_now(const inside_words& words, const std::string& socket, bool as_json, const patience& how) {
  end_on_interrupt();
  const auto done = run_reload(words.config, socket, how);
  if (done) {
    for (const auto& warning : done->warnings) {
      std::cerr << line_of({pci::failure_kind::failed, 0, "warning: " + warning});
    }
    return print_or_complain(as_json ? pci::result<std::string>{done->result + "\n"} : reload_text(done->result),
                             as_json);
  }
  if (as_json) {
    std::cout << reload_failure_json(done.error()) << std::flush;
    return static_cast<int>(exit_code_of(done.error().why.kind));
  }
  for (const auto& mistake : done.error().mistakes) {
    std::cerr << line_of({pci::failure_kind::failed, 0, mistake});
  }
  return complain(done.error().why, false);
}

int examine_host(const inside_words& words, const std::string& socket, bool as_json, const patience& how,
                 const std::string& version) {
  end_on_interrupt();
  auto all = look_at_host(words.root);
  const auto append = [&all](const checks& more) { all.insert(all.end(), more.begin(), more.end()); };
  const bool here = words.root == "/"; // another's Xen and daemon cannot be asked
  if (here && !has_problem(all)) {
    append(look_at_xen());
  }
  const auto usual = here ? std::string{default_settings} : words.root + default_settings;
  append(look_at_settings(words.root, words.config.empty() ? usual : words.config));
  if (here) {
    append(look_at_daemon(socket, version, how));
  }
  std::cout << (as_json ? doctor_json(all) : doctor_text(all, view_of_output())) << std::flush;
  return has_problem(all) || !std::cout ? EXIT_FAILURE : EXIT_SUCCESS;
}

int write_report(const inside_words& words, const std::string& socket, bool as_json, const patience& how,
                 const std::string& version) {
  end_on_interrupt();
  const auto collected = collect_report(socket, version, how);
  if (!collected) {
    return complain(collected.error(), as_json);
  }
  const auto report = words.names ? *collected : anonymous_report(*collected);
  const auto text = as_json ? report_json(report) : report_text(report);
  if (words.output.empty()) {
    return print_or_complain(text, as_json);
  }
  std::ofstream file(words.output, std::ios::trunc);
  file << text << std::flush;
  return file ? EXIT_SUCCESS
              : complain({pci::failure_kind::failed, errno,
                          fmt::format("{} cannot be written: {}", words.output, std::strerror(errno))},
                         as_json);
}

} // namespace

int complain(const complaint& why, bool as_json) {
  if (as_json) {
    std::cout << json_of(why) << std::flush;
  } else {
    std::cerr << line_of(why);
  }
  return static_cast<int>(exit_code_of(why.kind));
}

void add_inside_commands(CLI::App& app, inside_words& into) {
  add_trace(app, into.trace);
  add_top(app, into.top);
  app.add_subcommand("reload", "have the daemon take over its settings, as far as they can change while it runs")
      ->add_option("--config", into.config, "a file of settings, instead of the one that the daemon was started with")
      ->type_name("FILE");
  auto* doctor =
      app.add_subcommand("doctor", "say what is amiss with this host, with a daemon or without; changes nothing");
  doctor->add_option("--config", into.config, std::string{"a file of settings, instead of "} + default_settings)
      ->type_name("FILE");
  doctor->add_option("--root", into.root, "look at the files below DIR instead, and ask neither Xen nor a daemon")
      ->type_name("DIR");
  auto* report =
      app.add_subcommand("report", "write all that a bug report needs, without names, UUIDs and serial numbers");
  report->add_flag("--names", into.names, "leave names, UUIDs and serial numbers in it");
  report->add_option("-o,--output", into.output, "the file, instead of standard output")->type_name("FILE");
}

std::optional<int> run_inside(const std::string& command, const inside_words& words, const std::string& socket,
                              bool as_json, const patience& how, const std::string& version) {
  if (command == "trace") {
    const auto done = run_trace(words.trace, socket, as_json, how);
    return done ? EXIT_SUCCESS : complain(done.error(), as_json);
  }
  if (command == "top") {
    const auto done = run_top(words.top, socket, as_json, how);
    return done ? *done : complain(done.error(), as_json);
  }
  return command == "reload"   ? std::optional{reload_now(words, socket, as_json, how)}
         : command == "doctor" ? std::optional{examine_host(words, socket, as_json, how, version)}
         : command == "report" ? std::optional{write_report(words, socket, as_json, how, version)}
                               : std::nullopt;
}

} // namespace client_program
