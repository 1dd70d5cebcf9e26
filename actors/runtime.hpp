// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "messages/interfaces.hpp"
#include "pci/access_budget.hpp"
#include "pci/address.hpp"
#include "pci/busy_poll.hpp"
#include "pci/interrupts/storm_limiter.hpp"
#include "pci/policy.hpp"
#include "pci/protocol/topology.hpp"
#include "pci/resource_bounds.hpp"
#include "pci/result.hpp"
#include "pci/selector.hpp"
#include "platform/host.hpp"
#include "platform/records.hpp"

namespace actors {

/// What the administrator set, as the actors need it.
struct settings {
  struct device {
    pci::policy policy;
    bool hold = true;            ///< at start, and when it appears
    bool seize = false;          ///< from whatever driver has it
    bool keep_policy = false;    ///< what is switched at run time holds until the function is released
    std::optional<pci::pin> pin; ///< what it must be
    bool override_boot = false;  ///< even when dom0 runs from it

    /// With what holds for all functions.
    [[nodiscard]] pci::policy policy_with(const settings& all) const {
      auto made = policy;
      made.permissive = made.permissive || all.permissive;
      return made;
    }
  };
  /// Functions that are not named by their whole address alone.
  struct rule {
    pci::selector match;
    device wanted;
  };
  struct guest {
    std::string match;    ///< a domain's name or UUID
    bool hot_plug = true; ///< false: its frontend must not see the states 6 to 8 (NetBSD's panics)
  };
  /// Functions that a guest is given whenever it appears.
  struct assignment {
    std::string domain; ///< its name or its UUID
    std::vector<pci::sbdf> devices;
  };
  pci::topology_mode topology = pci::topology_mode::vpci;
  pci::function_numbers function_numbers = pci::function_numbers::from_zero;
  std::map<pci::sbdf, device> devices;
  std::vector<rule> rules;
  std::set<pci::sbdf> hidden; ///< as the kernel's hide= takes it: a bridge with all that is below it
  std::vector<guest> guests;
  std::vector<assignment> assignments;
  std::shared_ptr<platform::records> journal;            ///< where the journal is kept; null: in memory
  std::chrono::milliseconds frontend_patience{2000};     ///< for a frontend that does not move in a reconfiguration
  bool permissive = false;                               ///< for every function, with or without a `device`
  std::chrono::milliseconds aer_patience{30000};         ///< for each step of a recovery from an error
  unsigned line_rate = pci::storm_limiter::default_rate; ///< interrupts a second that a shared line lets through
  pci::busy_poll::limits polling;                        ///< for a guest's next operation
  unsigned interrupt_rate = 25; ///< operations a second by which a guest switches MSI and MSI-X; more are put off
  unsigned access_rate = pci::access_budget::default_rate; ///< other operations a second of a guest; likewise
  pci::resource_bounds bounds;                             ///< of what is held and served

  /// What is set for a function: of all that matches it, the most exact, and of those the first. Null: nothing.
  [[nodiscard]] const device* find(const pci::identity& what) const;
};

struct observation;

/// The actor system of the daemon with its root actor, on a host. Construction starts it; the destructor ends all
/// actors and leaves the guests' interrupts and devices as they are.
class runtime {
public:
  /// Fails when the host cannot be started. `host` must outlive the runtime.
  [[nodiscard]] static pci::result<std::unique_ptr<runtime>> start(platform::host& host, settings settings);
  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;
  ~runtime();

  [[nodiscard]] caf::actor_system& system();
  [[nodiscard]] const messages::root_actor& root() const;
  /// What takes other settings while it runs: for what is held, leased, connected or assigned from then on. Returns at
  /// once, and may be called when the runtime has ended.
  [[nodiscard]] std::function<void(settings next)> reloading() const;
  /// What is counted and told of it.
  [[nodiscard]] const std::shared_ptr<observation>& seen() const;
  /// What the journal says is taken up first. Then the functions that `settings` wants held, and how it went: asked
  /// once, after start; blocks until all are done, or until `stopping` becomes true and those that are being held then
  /// are done.
  [[nodiscard]] std::vector<std::pair<pci::sbdf, pci::result<void>>> hold_configured(const std::atomic<bool>& stopping);
  /// Begins to serve guests: watches their backend directories. After `hold_configured`, so that a guest that waits
  /// finds its functions held. Blocks for as long as xenstored takes.
  [[nodiscard]] pci::result<void> serve();

private:
  struct implementation;
  explicit runtime(std::unique_ptr<implementation> all);
  std::unique_ptr<implementation> all_;
};

} // namespace actors
