// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "pci/access_budget.hpp"
#include "pci/address.hpp"
#include "pci/busy_poll.hpp"
#include "pci/interrupts/storm_limiter.hpp"
#include "pci/policy.hpp"
#include "pci/protocol/topology.hpp"
#include "pci/selector.hpp"

namespace pci {

/// Where something stands in a file; both count from 1.
struct file_position {
  unsigned line = 1;
  unsigned column = 1;
};

/// What the administrator set about functions and guests. The defaults are those of an empty file. The parser fills it
/// and the actors use it; what concerns the process alone (its socket, its log) config::settings adds.
struct settings {
  /// Functions and what is to be done with them: a [[device]] of the file.
  struct device {
    selector match;
    bool hold = true;              ///< at start, and when one appears
    bool seize = false;            ///< from whatever driver has it
    bool keep_policy = false;      ///< what is switched at run time holds until the function is released, not one lease
    bool override_boot = false;    ///< even when dom0 runs from it
    std::optional<pci::pin> pin{}; ///< what it must be
    std::optional<power_policy> power{}; ///< empty: as for all functions
    pci::policy policy{};
    file_position at{}; ///< in the file

    /// With what holds for all functions.
    [[nodiscard]] pci::policy policy_with(const settings& all) const {
      auto made = policy;
      made.permissive = made.permissive || all.permissive;
      made.power = power.value_or(all.power);
      return made;
    }
  };
  /// What is to be known of one guest: a [[guest]] of the file.
  struct guest {
    std::string match;    ///< its name or its UUID
    bool hot_plug = true; ///< false: its frontend must not see the states of a hot-plug, 6 to 8 (NetBSD's panics)
    file_position at{};   ///< in the file
  };
  /// A guest and what it is given whenever it appears: an [[assign]] of the file.
  struct assignment {
    std::string domain;        ///< its name or its UUID
    std::vector<sbdf> devices; ///< in the order in which the guest gets them; none twice
    file_position at{};        ///< in the file
  };

  topology_mode topology = topology_mode::vpci;
  pci::function_numbers function_numbers = pci::function_numbers::from_zero;
  /// For a frontend that does not move in a reconfiguration: 100 ms to 10 min.
  std::chrono::milliseconds frontend_patience{2000};
  std::chrono::milliseconds aer_patience{30000}; ///< for each step of a recovery from an error: 1 s to 10 min
  bool permissive = false;                       ///< every function: pciback's parameter of that name
  power_policy power = power_policy::d0;         ///< of functions whose [[device]] does not say
  unsigned interrupt_rate = 25; ///< switchings of MSI and MSI-X a second of a guest, more are put off: 5 to 1000
  unsigned access_rate = access_budget::default_rate; ///< other operations, likewise: 100 to 1000000
  busy_poll::limits polling;                          ///< for a guest's next operation: at most 1 ms, 100 %
  /// Interrupts a second that a shared line lets through: 100 to 1000000.
  unsigned line_rate = storm_limiter::default_rate;
  std::vector<sbdf_pattern> hide; ///< the kernel's hide=: a [[device]] for each, after those of the file; of a bridge
                                  ///< with its whole address, what is below it too
  std::vector<device> devices;    ///< none matches by the same as another
  std::vector<guest> guests;      ///< none twice
  std::vector<assignment> assignments; ///< no domain twice

  /// What is set for a function: of all that matches it, the most exact, and of those the first. Null: nothing.
  [[nodiscard]] const device* find(const identity& what) const;
  /// What is set for an address alone, whatever is there; hide= counts. Null: nothing.
  [[nodiscard]] const device* named(const sbdf& address) const;
  /// A [[device]] or hide= has this whole address, perhaps with ids or a class.
  [[nodiscard]] bool mentions(const sbdf& address) const;
  /// hide= has this whole address.
  [[nodiscard]] bool hides(const sbdf& address) const;
  /// The addresses for which `named` has something, in their order.
  [[nodiscard]] std::vector<sbdf> named_addresses() const;
  /// For changes: the [[device]] of that address alone, which is added when there is none.
  device& own(const sbdf& address);
};

} // namespace pci
