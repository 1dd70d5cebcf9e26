// SPDX-License-Identifier: GPL-2.0-or-later
// The time that a guest's frontend is given to answer.
#include <algorithm>

#include "actors/domain/domain.hpp"

namespace actors {

using pci::xenbus_state;

namespace {

using namespace std::chrono_literals;

// For a frontend that has been waited for in vain, and has not moved since: a toolstack that destroys a guest takes its
// functions one by one.
constexpr auto patience_with_the_silent = 100ms;
// Shortly before libxl gives up, which waits for 10 s.
constexpr auto patience_with_the_slow = 9s;
// For a frontend that waits to see Closed.
constexpr auto closed_pause = std::chrono::milliseconds(1000);

} // namespace

// Its time begins anew with each state that is the frontend's to answer.
void domain_state::wait_for_frontend(const pci::xenbus_nodes& nodes) {
  const auto backend = nodes.backend;
  const bool closed = backend == xenbus_state::closed && nodes.frontend == xenbus_state::closed && nodes.online;
  if (closed || (backend != xenbus_state::reconfiguring && backend != xenbus_state::reconfigured)) {
    plug_begun_.reset();
  } else if (!plug_begun_) {
    plug_begun_ = all_->host.time().now();
  }
  if (!closed && !plug_begun_) {
    return stop_waiting();
  }
  if (waiting_in_ == backend) {
    return;
  }
  stop_waiting();
  waiting_in_ = backend;
  waited_frontend_ = nodes.frontend;
  waited_operations_ = operations();
  const auto patience = all_->configuration->frontend_patience;
  self_->delayed_send(self_,
                      closed    ? closed_pause
                      : silent_ ? std::min<std::chrono::milliseconds>(patience, patience_with_the_silent)
                                : patience,
                      messages::wait_atom_v, wait_number_);
}

// A driver that lets go of a card, a network's or a graphics', may need longer than a frontend that is not there. Its
// guest has answered, or its operations still come.
bool domain_state::grant_more_time() {
  const bool moves = last_.frontend != waited_frontend_ || operations() != waited_operations_;
  if (!plug_begun_ || !moves || more_time_) {
    return false;
  }
  const auto left = *plug_begun_ + patience_with_the_slow - all_->host.time().now();
  if (left <= 0s) {
    return false;
  }
  more_time_ = true;
  self_->delayed_send(self_, left, messages::wait_atom_v, wait_number_);
  return true;
}

std::uint64_t domain_state::operations() const {
  return counters_.operations + (connection_ ? connection_->count().operations : 0);
}

void domain_state::stop_waiting() {
  waiting_in_.reset();
  more_time_ = false;
  facts_.frontend_waited_out = false;
  ++wait_number_;
}

void domain_state::waited_out(std::uint64_t wait_number) {
  if (wait_number == 0) { // the pause of a guest that changes its nodes too often
    look_now();
    return;
  }
  if (waiting_in_ && wait_number == wait_number_ && !grant_more_time()) {
    facts_.frontend_waited_out = true;
    silent_ = waiting_in_ != xenbus_state::closed && !more_time_;
    changed();
  }
}

} // namespace actors
