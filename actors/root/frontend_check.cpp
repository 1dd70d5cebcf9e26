// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/root/frontend_check.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "actors/xenstore/backend_nodes.hpp"
#include "actors/xenstore/guest_names.hpp"
#include "actors/xenstore/guest_view.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace actors {
namespace {

using pci::xenbus_state;

/// A frontend that has begun has seen the backend's state, and sees each that follows.
bool is_absent(platform::store_operations& store, messages::domain_id domain) {
  const auto backend = read_state(store, pci::paths::in(pci::paths::backend(domain), pci::node::state));
  const auto frontend = read_state(store, pci::paths::in(pci::paths::frontend(domain), pci::node::state));
  const bool unconnected = backend <= xenbus_state::initialised || backend == xenbus_state::closed;
  return unconnected && (frontend <= xenbus_state::init_wait || frontend == xenbus_state::closed);
}

} // namespace

pci::result<frontend_manner> check_frontend(const environment& all, messages::domain_id domain, bool looks_able) {
  auto& store = all.host.xenstore();
  if (is_absent(store, domain)) {
    return frontend_manner::absent;
  }
  const auto info = all.host.xen().domain(domain);
  if (!info || info->dying || info->shutdown) {
    return frontend_manner::plugs; // it does not run, and sees nothing
  }
  const auto who = names_of(store, domain);
  const auto guests = all.configuration->guests;
  const auto told = std::ranges::find_if(guests, [&](const auto& guest) { return is_called(who, guest.match); });
  if (told != guests.end() && told->hot_plug) {
    return frontend_manner::plugs;
  }
  if (told != guests.end() || has_view(store, domain)) {
    return pci::fail(
        EOPNOTSUPP,
        fmt::format("domain {} must not gain or lose functions while it runs (hot_plug = false): shut it down first",
                    domain));
  }
  if (!looks_able) {
    return pci::fail(
        EOPNOTSUPP,
        fmt::format("the frontend of domain {} looks like NetBSD's, which panics when functions are added or removed "
                    "while it runs: shut it down first, or add a [[guest]] with hot_plug = true for it",
                    domain));
  }
  return frontend_manner::plugs;
}

} // namespace actors
