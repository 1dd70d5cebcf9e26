// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>

#include "restarted.hpp"

namespace test {

/// Everything that xenstore says of a guest's bus.
inline std::map<std::string, std::string> nodes_below(platform::store& store, const std::string& path) {
  std::map<std::string, std::string> found{{path, store.read(path).value_or("")}};
  for (const auto& name : store.list(path).value_or(std::vector<std::string>{})) {
    found.merge(nodes_below(store, path + "/" + name));
  }
  return found;
}

/// A guest that notices nothing when its daemon is killed and another is started.
struct adopted : restarted {
  std::map<std::string, std::string> nodes() {
    auto all = nodes_below(host.xenstore(), platform::sim::backend_path(domain));
    all.merge(nodes_below(host.xenstore(), fmt::format("/local/domain/{}/device/pci", domain)));
    return all;
  }
  /// It is served, and all its function can do it can.
  void check_served() {
    CHECK(function(nic).state == messages::function_state::leased);
    CHECK(function(nic).domain == domain);
    CHECK(guest_status(domain).connected);
    CHECK(guest->read(first_slot, 0, 4).value == 0x10d38086);
    CHECK(guest->timeouts() == 0);
  }
  /// In place of the one that is there, of whose function's interrupts none is open any more.
  void begin_another_frontend() {
    for (const auto pirq : guest->pirqs(first_slot)) {
      guest->unbind_pirq(pirq);
    }
    guest = std::make_unique<platform::sim::frontend>(host, domain, *this);
    REQUIRE(guest->start());
  }
  void check_end() {
    host.toolstack_destroy(domain);
    guest.reset();
    run();
    check_clean(nic);
    check_forgotten(domain);
  }
};

} // namespace test
