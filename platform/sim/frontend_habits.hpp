// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>

namespace platform::sim {

/// Whose frontend it is (spec section 9).
enum class flavour : std::uint8_t { linux, mini_os, netbsd, freebsd };

/// How one kind of frontend differs from the others. What it makes of the backend's states is in frontend_states.cpp.
struct habits {
  bool answers_aer;      ///< sets the flag for it, and answers requests
  bool state_with_nodes; ///< publishes state 3 together with the other nodes; Linux does so after them
  bool gives_up;         ///< an operation fails when it is not answered in time; otherwise the guest hangs, for good
  bool dwords_only;      ///< accesses are of 4 bytes and aligned, whatever its drivers ask for
  bool host_addresses;   ///< names functions as the host does, and looks vdev-N up for each operation
  bool needs_root_num;   ///< without it there is no bus; others take 0000:00
  bool sweeps;           ///< looks at all 256 functions of a bus, not only where a function 0 is
  bool messages;         ///< its drivers use MSI and MSI-X
};
[[nodiscard]] const habits& habits_of(flavour kind);

} // namespace platform::sim
