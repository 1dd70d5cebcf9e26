// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>

#include "actors/device/function_registry.hpp"
#include "actors/device/line_lockups.hpp"
#include "actors/device/reset_memory.hpp"
#include "actors/journal/journal.hpp"
#include "actors/live_settings.hpp"
#include "actors/look/observation.hpp"
#include "actors/root/troubles.hpp"
#include "messages/interfaces.hpp"
#include "pci/resource_bounds.hpp"
#include "platform/host.hpp"

namespace actors {

class guest_servers;
class pump;

[[nodiscard]] std::shared_ptr<guest_servers> make_guest_servers(platform::host& host, bool threads);

/// What every actor is given: the host, the settings, and who else there is.
struct environment {
  platform::host& host;
  live_settings configuration;
  pump& events;
  /// Through it actors read and write xenstore: one thread, which may block.
  messages::worker_actor store_worker;
  /// False: what may block runs on the scheduler too, one message at a time, so that a test is deterministic.
  bool threads = true;
  std::shared_ptr<actors::journal> journal = std::make_shared<actors::journal>();
  std::shared_ptr<function_registry> functions = std::make_shared<function_registry>();
  std::shared_ptr<reset_memory> resets = std::make_shared<reset_memory>();
  std::shared_ptr<line_lockups> lockups = std::make_shared<line_lockups>();
  std::shared_ptr<guest_servers> servers = make_guest_servers(host, threads);
  std::shared_ptr<actors::troubles> failures = std::make_shared<actors::troubles>();
  std::shared_ptr<observation> seen = std::make_shared<observation>();
  pci::resource_bounds bounds{}; ///< of what is held and served
};
using environment_ptr = std::shared_ptr<const environment>;

/// Nothing of the domain runs any more: Xen does not know it, or is taking it apart.
[[nodiscard]] inline bool gone(const environment& all, messages::domain_id domain) {
  const auto info = all.host.xen().domain(domain);
  return !info || info->dying;
}

} // namespace actors
