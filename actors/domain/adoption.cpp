// SPDX-License-Identifier: GPL-2.0-or-later
// A guest that an earlier daemon served: this one goes on where that ended, and the guest notices nothing.
#include <spdlog/spdlog.h>

#include "actors/domain/domain.hpp"

namespace actors {

using pci::xenbus_state;

namespace {

constexpr auto pause_before_rest = std::chrono::seconds(1);

} // namespace

// Its functions first, so that an operation that waits in the page finds them.
void domain_state::adopt(const pci::xenbus_nodes& nodes) {
  auto work = std::make_shared<batch>();
  work->nodes = nodes;
  work->adopts = true;
  for (const auto& node : nodes.devices) {
    if (node.state == xenbus_state::initialised || node.state == xenbus_state::closing) {
      work->arriving.push_back(node);
      keep_place(node);
    }
  }
  export_next(work);
}

// For as long as it is not adopted, too: a function that is plugged meanwhile must not come to where the guest sees
// this.
void domain_state::keep_place(const pci::device_nodes& node) {
  const auto host = pci::parse_node_sbdf(node.dev);
  const auto seen = pci::parse_node_sbdf(node.vdev);
  if (host && seen) {
    static_cast<void>(topology_.adopt(*host, *seen, false)); // it has one when this is not the first time
  }
}

void domain_state::adopted(batch_ptr work) {
  const auto& nodes = work->nodes;
  if (work->incomplete) {
    static_cast<void>(adopt_rest_later());
  }
  if (!connection_ && (work->arriving.empty() || !exports_.empty())) {
    if (pci::was_connected(nodes)) {
      return connect_again(nodes);
    }
    if (nodes.frontend == xenbus_state::initialised) { // another frontend, which has nothing of what the last one had
      return renew_functions([this] { step_done(); });
    }
  }
  step_done();
}

// False: it has been tried often enough.
bool domain_state::adopt_rest_later() {
  if (adoptions_left_ == 0) {
    return false;
  }
  --adoptions_left_;
  adopt_rest_at_ = all_->host.time().now() + pause_before_rest;
  self_->delayed_send(self_, pause_before_rest, messages::changed_atom_v);
  return true;
}

bool domain_state::is_time_to_adopt_rest() {
  const bool due = adopt_rest_at_ && all_->host.time().now() >= *adopt_rest_at_;
  if (due) {
    adopt_rest_at_.reset();
  }
  return due;
}

// Those first whose request may be in the page: the others ask when it is answered.
void domain_state::resume_recoveries() {
  std::vector<std::pair<saved_recovery, recovery::function>> found;
  for (const auto& [host, where] : exports_) {
    if (const auto saved = all_->journal->row(host).recovery_of(domain_)) {
      found.emplace(saved->asked ? found.begin() : found.end(), *saved, as_recovered(where, saved->policy));
    }
  }
  for (const auto& [saved, of] : found) {
    recovery_.resume(saved, of);
  }
}

// The page and the channel are the guest's still: the end of the earlier daemon has unmapped the one and unbound the
// other. The channel fires when it is bound, for whatever has come into the page meanwhile.
void domain_state::connect_again(const pci::xenbus_nodes& nodes) {
  if (!nodes.grant_reference || !nodes.event_channel) {
    return step_done();
  }
  open_connection(nodes, [this] {
    resume_recoveries();
    connection_->take_over();
    came_up_ = true;
    limits_->log.write(spdlog::level::info, "domain {} is served again, with {} functions", domain_, exports_.size());
    step_done();
  });
}

} // namespace actors
