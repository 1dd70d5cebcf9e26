#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "messages/interfaces.hpp"
#include "pci/address.hpp"
#include "pci/policy.hpp"
#include "pci/protocol/topology.hpp"
#include "pci/result.hpp"
#include "platform/host.hpp"

namespace actors {

/// What the administrator set, as the actors need it.
struct settings {
  struct device {
    pci::policy policy;
    bool hold = true;   ///< at start
    bool seize = false; ///< from whatever driver has it
  };
  pci::topology_mode topology = pci::topology_mode::vpci;
  std::map<pci::sbdf, device> devices;
  std::chrono::milliseconds frontend_patience{5000}; ///< for a frontend to take part in a reconfiguration
  std::chrono::milliseconds aer_patience{30000};     ///< for each step of a recovery from an error
};

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
  /// The functions that `settings` wants held, and how it went: asked once, after start; blocks until all are done.
  [[nodiscard]] std::vector<std::pair<pci::sbdf, pci::result<void>>> hold_configured();
  /// Begins to serve guests: watches their backend directories. After `hold_configured`, so that a guest that waits
  /// finds its functions held. Blocks for as long as xenstored takes.
  [[nodiscard]] pci::result<void> serve();

private:
  struct implementation;
  explicit runtime(std::unique_ptr<implementation> all);
  std::unique_ptr<implementation> all_;
};

} // namespace actors
