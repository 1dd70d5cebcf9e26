// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/outcome.hpp"

#include <cerrno>

#include <nlohmann/json.hpp>

namespace client_program {

exit_code exit_code_of(pci::failure_kind kind) {
  switch (kind) {
  case pci::failure_kind::failed:
    return exit_code::failed;
  case pci::failure_kind::usage:
    return exit_code::usage;
  case pci::failure_kind::no_daemon:
    return exit_code::no_daemon;
  case pci::failure_kind::refused:
    return exit_code::refused;
  case pci::failure_kind::busy:
    return exit_code::busy;
  case pci::failure_kind::absent:
    return exit_code::absent;
  case pci::failure_kind::timed_out:
    return exit_code::timed_out;
  }
  return exit_code::failed;
}

// The daemon's words may quote a guest or a card: no escape sequence reaches the terminal.
std::string line_of(const complaint& why) {
  std::string line = "pcibackctl: ";
  for (const char c : why.text) {
    const auto byte = static_cast<unsigned char>(c);
    line += byte < ' ' || byte == 0x7f ? '?' : c;
  }
  return line + "\n";
}

std::string json_of(const complaint& why) {
  using json = nlohmann::ordered_json;
  const json error{{"kind", std::string{pci::to_string(why.kind)}},
                   {"exit", static_cast<int>(exit_code_of(why.kind))},
                   {"errno", why.error == 0 ? json() : json(pci::errno_name(why.error))},
                   {"message", why.text}};
  return json{{"error", error}}.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

bool is_so_already(const std::string& method, const complaint& why) {
  return why.error == EEXIST && (method == "hold" || method == "attach");
}

std::string already_json(const complaint& why) {
  using json = nlohmann::ordered_json;
  return json{{"already", true}, {"message", why.text}}.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

} // namespace client_program
