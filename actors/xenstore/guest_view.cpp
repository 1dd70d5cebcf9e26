// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/xenstore/guest_view.hpp"

#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "actors/xenstore/backend_nodes.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace actors {
namespace {

bool can_bear(pci::xenbus_state state) { return state <= pci::xenbus_state::closing; }

} // namespace

bool has_view(platform::store_operations& store, messages::domain_id domain) {
  return store.read(pci::paths::in(pci::paths::view(domain), pci::node::state)).has_value();
}

pci::result<void> make_view(platform::store_operations& store, messages::domain_id domain) {
  const auto front = pci::paths::frontend(domain);
  if (const auto state = read_state(store, pci::paths::in(front, pci::node::state));
      state != pci::xenbus_state::initialising) {
    return pci::fail(EBUSY, fmt::format("its frontend is in state {} already", to_string(state)));
  }
  const auto view = pci::paths::view(domain);
  const std::array<platform::node_permission, 2> who = {{{0, false, false}, {domain, true, false}}};
  auto made = store.make_directory(view);
  if (made) {
    made = store.set_permissions(view, who);
  }
  if (made) {
    made = store.write(pci::paths::in(view, pci::node::state), "1");
  }
  return made ? store.write(pci::paths::in(front, pci::node::backend), view) : made;
}

pci::result<void> write_view(platform::store_operations& store, messages::domain_id domain,
                             const std::vector<pci::node_write>& writes) {
  if (!has_view(store, domain)) {
    return {};
  }
  const auto view = pci::paths::view(domain);
  for (const auto& node : writes) {
    if (node.name == pci::node::state) {
      const auto state = pci::parse_state(node.value);
      if (!can_bear(state) || state == read_state(store, pci::paths::in(view, pci::node::state))) {
        continue;
      }
    }
    if (auto written = store.write(pci::paths::in(view, node.name), node.value); !written) {
      return written;
    }
  }
  return {};
}

void remove_view(platform::store_operations& store, messages::domain_id domain) {
  static_cast<void>(store.remove(pci::paths::view(domain)));
  if (const auto rest = store.list(pci::paths::views); rest && rest->empty()) {
    static_cast<void>(store.remove(pci::paths::views));
  }
}

} // namespace actors
