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
  return std::cout ? pci::result<void>{} : pci::fail(EIO, "standard output takes no more");
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

pci::result<std::string> ask(const std::string& method, const std::string& socket) {
  return client_program::exchange(socket, request_line({method, {}, {}, {}, {}})).and_then(result_of);
}

pci::result<void> print_actors(const std::string& result, bool as_json) {
  return (as_json ? pci::result<std::string>{result + "\n"} : actors_tree(result, speaks_utf8())).and_then(print_text);
}

pci::result<void> watch(const std::string& socket, bool as_json) {
  bool answered = false;
  pci::result<void> outcome;
  auto followed = follow(socket, request_line({"watch", {}, {}, {}, {}}), [&](const std::string& line) {
    if (!std::exchange(answered, true)) {
      const auto answer = result_of(line);
      outcome = answer ? pci::result<void>{} : tl::unexpected(answer.error());
    } else {
      outcome = (as_json ? event_json(line) : event_line(line)).and_then(print_text);
    }
    return outcome.has_value();
  });
  return outcome ? followed : outcome;
}

} // namespace

std::optional<pci::result<void>> run_look(const std::string& method, const std::string& socket, bool as_json) {
  if (method == "actors") {
    return ask(method, socket).and_then([as_json](const std::string& result) { return print_actors(result, as_json); });
  }
  if (method == "metrics") {
    return ask(method, socket).and_then(metrics_of_result).and_then(print_text);
  }
  if (method == "watch") {
    return watch(socket, as_json);
  }
  return std::nullopt;
}

} // namespace client_program
