// SPDX-License-Identifier: GPL-2.0-or-later
// What root does when one of its actors ends, and how it ends them all.
#include <algorithm>

#include <spdlog/spdlog.h>

#include "actors/jobs.hpp"
#include "actors/root/root.hpp"
#include "actors/xenstore/backend_nodes.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace actors {
namespace {

// A device actor that a bug has ended is started again, with a scrub; one that keeps ending is left alone.
constexpr unsigned restart_budget = 3;

} // namespace

void root_state::down(const caf::down_msg& down) {
  const auto bug = static_cast<bool>(down.reason); // none ends with a reason but by an exception
  const auto device = std::find_if(devices_.begin(), devices_.end(),
                                   [&](const auto& entry) { return entry.second.device.address() == down.source; });
  if (device != devices_.end()) {
    if (bug && !stopping_ && device->second.restarts < restart_budget) {
      return restart_device(device->first);
    }
    const auto address = device->first;
    devices_.erase(device);
    if (returning_.erase(address) != 0 && !stopping_) {
      hide(address);
    }
    return;
  }
  const auto domain = std::find_if(domains_.begin(), domains_.end(),
                                   [&](const auto& entry) { return entry.second.address() == down.source; });
  if (domain == domains_.end()) {
    return;
  }
  const auto id = domain->first;
  domains_.erase(domain);
  if (bug && !stopping_) {
    // Its devices have seen it end and are being scrubbed; the guest is told that its bus is gone.
    run_on<void>(
        all_->store_worker, self_,
        [all = all_, id] {
          const auto nodes = read_nodes(all->host.xenstore(), id);
          return nodes && nodes->exists
                     ? write_nodes(all->host.xenstore(), id, nodes->backend, {{pci::node::state, "5"}})
                     : pci::result<void>{};
        },
        [](const pci::result<void>&) {});
  }
  if (stopping_) {
    return stop_devices();
  }
  if (unseen_.erase(id) != 0) {
    changed(id);
  }
}

void root_state::restart_device(const pci::sbdf& address) {
  auto& held = devices_.at(address);
  ++held.restarts;
  held.device = start_device(address, held.wanted);
  if (const auto seen = census::all().find(self_->home_system(), held.device.id())) {
    seen->set_restarts(held.restarts);
  }
  self_->request(held.device, caf::infinite, messages::hold_atom_v, false)
      .then([address] { spdlog::warn("{} is held again", pci::to_string(address)); },
            [address](caf::error& error) {
              spdlog::error("{} is lost: {}", pci::to_string(address),
                            pci::to_string(messages::to_failure(error, "its actor ended again")));
            });
}

void root_state::stop() {
  stopping_ = true;
  until_stopped_ = messages::root_actor(self_);
  for (const auto& [id, actor] : domains_) {
    self_->send(actor, messages::stop_atom_v);
  }
  stop_devices();
}

// When no guest is served any more: one whose function had ended first would be told that there is none. What it asks
// for meanwhile the next daemon answers.
void root_state::stop_devices() {
  if (!domains_.empty()) {
    return;
  }
  for (const auto& [address, held] : devices_) {
    self_->send(held.device, messages::stop_atom_v);
  }
  self_->quit();
}

} // namespace actors
