// SPDX-License-Identifier: GPL-2.0-or-later
// A guest's frontend and a toolstack write what they like into xenstore, in any order, well or ill formed. The backend
// reads it, comes to rest after a bounded number of steps, and writes nobody else's nodes.
// The input is text: a line each for what is done, such as "f state 3", "b dev-0 0000:03:00.0", "attach 3", "waited".
#include <array>
#include <map>
#include <string>

#include <fmt/format.h>

#include "actors/xenstore/backend_nodes.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"
#include "fuzz/nodes/backend.hpp"
#include "fuzz/support/input.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace {

using fuzz::require;

fuzz::account looks{"looks at a guest's nodes"};

/// What the daemon may write: its directory, the guest's view and error node; the frontend's state when it calls it.
bool is_backends(const std::string& path) {
  const std::array allowed{pci::paths::backend_parent(nodes::domain), pci::paths::view(nodes::domain),
                           pci::paths::backend_error_parent(nodes::domain),
                           pci::paths::in(pci::paths::frontend(nodes::domain), pci::node::state),
                           // where the frontend is told of a view
                           pci::paths::in(pci::paths::frontend(nodes::domain), pci::node::backend)};
  return std::ranges::any_of(allowed, [&](const std::string& each) { return path.starts_with(each); }) ||
         path.starts_with(pci::paths::libxl_functions);
}

class play {
public:
  explicit play(bool passthrough)
      : daemon_(store_, passthrough ? pci::topology_mode::passthrough : pci::topology_mode::vpci) {
    static_cast<void>(store_.write("/local/domain/7/domid", "7"));
    static_cast<void>(store_.write("/local/domain/7/name", "guest"));
    static_cast<void>(store_.write("/local/domain/0/backend/pci/8/0/frontend-id", "8"));
    static_cast<void>(store_.write("/local/domain/8/device/pci/0/state", "4"));
  }

  void line(std::string_view text) {
    const auto verb = word(text);
    if (verb == "f" || verb == "b")
      write(verb == "f", text);
    else if (verb == "attach" || verb == "detach" || verb == "remove")
      toolstack(verb, text);
    else
      happen(verb);
    rest();
  }

private:
  static std::string_view word(std::string_view& text) {
    const auto found = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), found.size() + 1));
    return found;
  }

  /// "f NODE VALUE", "b NODE VALUE"; without a value the node goes.
  void write(bool frontend, std::string_view text) {
    const auto directory = frontend ? pci::paths::frontend(nodes::domain) : pci::paths::backend(nodes::domain);
    const auto node = word(text);
    const bool error = frontend && node == "error";
    const auto path = error ? pci::paths::frontend_error(nodes::domain) : pci::paths::in(directory, node);
    if (node.empty() || node.find('/') != std::string_view::npos)
      return;
    static_cast<void>(text.empty() ? store_.remove(path) : store_.write(path, text));
  }

  static pci::sbdf address_of(std::string_view text) {
    const auto number = pci::parse_number(text, 0xffff).value_or(0);
    return {0, static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
  }

  /// libxl's way, or pcibackctl's, which is the same.
  void toolstack(std::string_view verb, std::string_view text) {
    const auto address = address_of(word(text));
    const bool plug = text != "cold";
    if (verb == "attach") {
      static_cast<void>(actors::add_device(store_, nodes::domain, address, {}, plug));
      static_cast<void>(actors::look_at_addition(store_, nodes::domain, address));
    } else if (verb == "detach") {
      static_cast<void>(actors::begin_removal(store_, nodes::domain, address, plug));
    } else {
      static_cast<void>(actors::look_at_removal(store_, nodes::domain));
      static_cast<void>(actors::remove_device(store_, nodes::domain, address));
    }
  }

  void happen(std::string_view what) {
    auto& facts = daemon_.facts;
    const std::map<std::string_view, bool*> known{
        {"dying", &facts.domain_ending},  {"shutdown", &facts.domain_shut_down},
        {"paused", &facts.domain_paused}, {"waited", &facts.frontend_waited_out},
        {"again", &facts.started_over},   {"adopt", &facts.unadopted},
        {"view", &daemon_.own_view}};
    if (const auto found = known.find(what); found != known.end())
      *found->second = !*found->second;
    else if (what == "destroy")
      static_cast<void>(store_.remove(pci::paths::backend(nodes::domain)));
  }

  /// Without a move of anybody's the daemon comes to rest.
  void rest() {
    const auto before = store_.nodes;
    constexpr unsigned most_steps = 12;
    unsigned steps = 0;
    while (daemon_.step())
      require(++steps < most_steps, "the backend comes to rest");
    looks.add();
    for (const auto& [path, value] : before)
      if (const auto now = store_.nodes.find(path); now == store_.nodes.end() || now->second != value)
        require(is_backends(path), "only the backend's own nodes are written");
    for (const auto& [path, value] : store_.nodes)
      require(before.contains(path) || is_backends(path), "no nodes are made but the backend's own");
  }

  fuzz::memory_store store_;
  nodes::backend daemon_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::input in{{data, size}};
  play one(in.line() == "passthrough");
  for (unsigned lines = 0; lines < 48 && !in.empty(); ++lines)
    one.line(in.line());
  return 0;
}
