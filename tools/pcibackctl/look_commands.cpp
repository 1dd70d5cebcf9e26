// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/look_commands.hpp"

#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <string_view>
#include <utility>

#include "tools/pcibackctl/actors_view.hpp"
#include "tools/pcibackctl/client.hpp"
#include "tools/pcibackctl/events_view.hpp"

namespace client_program {
namespace {

pci::result<void> print_text(const std::string& text) {
  std::cout << text << std::flush;
  return std::cout ? pci::result<void>{} : pci::fail(EIO, "standard output cannot be written to any more");
}

/// The terminal can show the lines of a tree.
bool speaks_utf8() {
  for (const auto* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    if (const auto* value = std::getenv(name); value != nullptr && *value != '\0') {
      const std::string_view locale{value};
      return locale.find("UTF-8") != std::string_view::npos || locale.find("utf8") != std::string_view::npos;
    }
  }
  return false;
}

using done = tl::expected<void, complaint>;

complaint failed(const pci::failure& why) { return {pci::failure_kind::failed, why.error, why.context}; }

call method_call(const std::string& method) { return {method, {}, {}, {}, {}}; }

pci::result<void> print_actors(const std::string& result, bool as_json) {
  return (as_json ? pci::result<std::string>{result + "\n"} : actors_tree(result, speaks_utf8())).and_then(print_text);
}

pci::result<void> print_metrics(const std::string& result, bool as_json) {
  return (as_json ? pci::result<std::string>{result + "\n"} : metrics_of_result(result)).and_then(print_text);
}

done watch(const std::string& socket, bool as_json) {
  bool answered = false;
  done outcome;
  const auto each = [&](const std::string& line) {
    if (!std::exchange(answered, true)) {
      if (const auto answer = read_answer(line, "watch"); !answer) {
        outcome = tl::unexpected(answer.error());
      }
    } else if (const auto told = (as_json ? event_json(line) : event_line(line)).and_then(print_text); !told) {
      outcome = tl::unexpected(failed(told.error()));
    }
    return outcome.has_value();
  };
  const auto followed = follow(socket, request_line(method_call("watch")), each);
  return !outcome || followed ? outcome
                              : tl::unexpected(answered ? failed(followed.error()) : unreached(followed.error()));
}

} // namespace

std::optional<tl::expected<void, complaint>> run_look(const std::string& method, const std::string& socket,
                                                      bool as_json, const patience& how) {
  if (method == "watch") {
    return watch(socket, as_json);
  }
  if (method != "actors" && method != "metrics") {
    return std::nullopt;
  }
  return ask(socket, method_call(method), how).and_then([&](const std::string& result) -> done {
    const auto printed = method == "actors" ? print_actors(result, as_json) : print_metrics(result, as_json);
    return printed ? done{} : tl::unexpected(failed(printed.error()));
  });
}

} // namespace client_program
