// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pci/address.hpp"
#include "pci/protocol/topology.hpp"

namespace pci {

/// Source: xen/io/xenbus.h.
enum class xenbus_state : std::uint8_t {
  unknown = 0,
  initialising = 1,
  init_wait = 2,
  initialised = 3,
  connected = 4,
  closing = 5,
  closed = 6,
  reconfiguring = 7,
  reconfigured = 8,
};
[[nodiscard]] std::string_view to_string(xenbus_state state);
/// Reads a `state` or `state-N` node: decimal 0..8, anything else is unknown. Never throws.
[[nodiscard]] xenbus_state parse_state(std::string_view text);
/// Reads a decimal node (a grant reference, a port, num_devs): digits only, at most `limit`.
[[nodiscard]] std::optional<std::uint32_t> parse_number(std::string_view text, std::uint32_t limit);

/// One device's nodes in a backend directory.
struct device_nodes {
  unsigned index = 0;
  xenbus_state state = xenbus_state::unknown; ///< state-N
  std::string dev;                            ///< dev-N, unparsed
  std::string vdev = {};                      ///< vdev-N, unparsed; empty when absent
  std::optional<std::uint8_t> vdevfn = {};    ///< vdevfn-N: where the toolstack wants the guest to see it
  bool permissive = false;                    ///< opts-N asks for it
};

/// What a backend and its frontend directory say at one moment. Nodes that are absent or of the wrong form are empty:
/// the frontend's are written by the guest.
struct xenbus_nodes {
  bool exists = false; ///< the backend directory has its `frontend-id`
  xenbus_state backend = xenbus_state::unknown;
  bool online = true;
  std::string frontend_path; ///< dom0's word for it
  std::vector<device_nodes> devices;
  std::vector<topology::root> roots; ///< root-0 .. root-(root_num - 1)
  bool takes_hot_plug = true;        ///< false: the guest has a view of its own, and states 6 to 8 are kept from it

  xenbus_state frontend = xenbus_state::unknown; ///< unknown: the node is gone
  std::optional<std::uint32_t> grant_reference;  ///< pci-op-ref
  std::optional<std::uint32_t> event_channel;
  std::string magic;
  std::string frontend_error; ///< what it says of itself in its error node: bounded and printable
};

/// What a backend does next. Each names the whole step; after it the nodes are read again.
enum class xenbus_step : std::uint8_t {
  none,
  prepare,     ///< own state 1: check the directory, then write 2
  export_all,  ///< own state 2: export every device, publish roots, write 3
  export_new,  ///< own state 3: a device was added one by one at boot (state-N is 1); own state stays 3
  connect,     ///< own 3, frontend 3: map the page, bind the channel, write 4. Likewise own 4 without a connection: a
               ///< hot-plug was taken back before the frontend came
  reconfigure, ///< own 7, frontend 7: export what is new (state-N 1), release what goes (state-N 5), then write 8
  complete,    ///< own 8, and the frontend is in 4 or takes no further part: write 4
  take_back,   ///< own 7 and the frontend takes no part: it never connected, must not see such states, has not answered
               ///< in time, or its domain does not run; release state-N 5, then write 4
  start_over,  ///< another frontend has come in the place of the connected one, which has said nothing (kexec, a module
              ///< that was loaded again, a toolstack that wrote 1): disconnect, end what the old one had on, connect to
              ///< the new one; own state stays, but 3, which only a toolstack can have written, becomes 4
  catch_up,   ///< own 4, frontend 7: it answers a hot-plug that was ended without it; write 8, and it looks again
  close,      ///< frontend 5: disconnect, write 5
  closed,     ///< frontend 6: disconnect, write 6; release everything unless online
  restart,    ///< own 5 or 6, frontend 1 again, or own 6, frontend 3 (a driver that was loaded again): disconnect,
              ///< write 2 (the kernel's backend lacks it). The devices are still exported then, their state-N is 3:
              ///< export_all leaves those where they are. Likewise for a frontend that has closed without a word (its
              ///< module was unloaded), or has closed some time ago: the next one would close again if it found 6
  stand_in,   ///< the domain has shut down: disconnect, write 4. libxl takes no function from a domain in another
              ///< state; it would wait for 10 s, for each, and give up
  call_again, ///< own 3, and no frontend has connected since own state was 1: the guest's last frontend, which was
              ///< still being removed, has written its 6 into the nodes of its successor, and Linux probes in 1 only;
              ///< write 1 there
  adopt,      ///< an earlier daemon served this guest, and ended: lease what it had, where it sees it, map its page and
              ///< bind its channel anew if they were connected; no state is written, and the guest notices nothing
  tear_down,  ///< the directory or the frontend is gone: release everything, forget the guest
};
[[nodiscard]] std::string_view to_string(xenbus_step step);

/// The backend's half of xenbus (spec 7.4, 7.5), as a pure function of what the nodes say and of what this daemon has
/// done.
struct xenbus_facts {
  bool connected = false;           ///< the page is mapped and the channel bound
  bool domain_ending = false;       ///< the hypervisor says that the domain is dying, or it is gone
  bool domain_shut_down = false;    ///< it ended by itself and waits for its toolstack
  bool domain_paused = false;       ///< no frontend answers until somebody lets it run
  bool unadopted = false;           ///< what an earlier daemon has done for the guest has yet to be taken over
  bool started_over = false;        ///< the frontend that is there is not the one that is connected
  bool frontend_waited_out = false; ///< own state has been 7, or 8, or both states 6, for the time a frontend is given
  bool overtaken = false;           ///< the last hot-plug was ended without the frontend, which knows nothing of it
  bool uncalled = false;            ///< no frontend has connected since own state was 1, nor was one called again
  bool given_up = false;            ///< own 5 is this daemon's answer to an error, and the frontend's state has not
                                    ///< changed since: keeps a guest that never moves from being restarted for ever
};
[[nodiscard]] xenbus_step next_step(const xenbus_nodes& nodes, const xenbus_facts& facts);

/// Whether a daemon has shown this guest functions or has connected to it, as the nodes have it.
[[nodiscard]] bool was_served(const xenbus_nodes& nodes);
/// Whether an earlier daemon was connected to the frontend that is there now: own state and the frontend's are both
/// past the handshake.
[[nodiscard]] bool was_connected(const xenbus_nodes& nodes);

/// A node to write, relative to the backend directory.
struct node_write {
  std::string name;
  std::string value;
  friend bool operator==(const node_write&, const node_write&) = default;
};

/// root-N and root_num for the roots that are not yet published, root_num last; empty when all are. Roots are never
/// withdrawn, unless the guest has yet to look (`looked` false).
[[nodiscard]] std::vector<node_write> root_writes(const std::vector<topology::root>& published,
                                                  const std::vector<topology::root>& wanted, bool looked);

} // namespace pci
