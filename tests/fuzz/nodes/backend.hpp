// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <set>
#include <string>

#include "fuzz/support/memory_store.hpp"
#include "pci/protocol/topology.hpp"
#include "pci/protocol/xenbus.hpp"

namespace nodes {

inline constexpr std::uint16_t domain = 7;

/// A daemon's half of one guest's handshake, without the functions themselves: reads the nodes, asks the state machine,
/// and does what it says, as docs/mechanics.md has it.
class backend {
public:
  backend(fuzz::memory_store& store, pci::topology_mode mode) : store_(store), mode_(mode), topology_(mode) {}

  /// One look. False: there is nothing to do, or the guest's directories are gone and it is forgotten.
  [[nodiscard]] bool step();

  pci::xenbus_facts facts;
  bool own_view = false; ///< the guest is not to see a hot-plug

private:
  void carry_out(pci::xenbus_step what, const pci::xenbus_nodes& seen);
  void prepare(const pci::xenbus_nodes& seen);
  void connect(const pci::xenbus_nodes& seen);
  void export_devices(const pci::xenbus_nodes& seen, bool again, bool strict, pci::xenbus_state then);
  void reconfigure(const pci::xenbus_nodes& seen, pci::xenbus_state then, bool arrivals);
  [[nodiscard]] bool place(const pci::device_nodes& one, std::vector<pci::node_write>& into);
  void write(const pci::xenbus_nodes& seen, pci::xenbus_state state, std::vector<pci::node_write> more = {});
  void give_up(const pci::xenbus_nodes& seen);
  void forget();
  void check(const pci::xenbus_nodes& seen) const;
  void check_places() const;

  fuzz::memory_store& store_;
  pci::topology_mode mode_;
  pci::topology topology_;
  std::set<pci::sbdf> exported_;
  pci::xenbus_state frontend_ = pci::xenbus_state::unknown; ///< at the last look
};

} // namespace nodes
