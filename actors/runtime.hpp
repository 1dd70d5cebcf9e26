// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "actors/live_settings.hpp"
#include "messages/interfaces.hpp"
#include "pci/address.hpp"
#include "pci/resource_bounds.hpp"
#include "pci/result.hpp"
#include "platform/host.hpp"
#include "platform/records.hpp"

namespace actors {

struct observation;

/// What the process has for the daemon, whatever the settings say.
struct process_means {
  std::shared_ptr<platform::records> journal{}; ///< where the journal is kept; null: in memory
  pci::resource_bounds bounds{};                ///< of what is held and served
};

/// The actor system of the daemon with its root actor, on a host. Construction starts it; the destructor ends all
/// actors and leaves the guests' interrupts and devices as they are.
class runtime {
public:
  /// Fails when the host cannot be started. `host` must outlive the runtime.
  [[nodiscard]] static pci::result<std::unique_ptr<runtime>> start(platform::host& host, settings settings,
                                                                   process_means with = {});
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
