// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <vector>

#include <caf/response_promise.hpp>

#include "actors/environment.hpp"
#include "actors/look/watched.hpp"
#include "messages/interfaces.hpp"

namespace actors {

/// One command of an administrator: functions taken from the guests that have them, each guest first, by force when it
/// does not answer in time. Lives for that one command.
using drain_actor = caf::typed_actor<caf::replies_to<messages::drain_atom, pci::sbdf>::with<void>,
                                     caf::replies_to<messages::drain_atom, messages::domain_id>::with<void>>;

/// The state of a drain actor.
class drain_state {
public:
  static inline const char* name = "drain";
  using self_pointer = watched_pointer<drain_actor, drain_state>;

  explicit drain_state(self_pointer self) : self_(self) {}

  void open(environment_ptr all, messages::root_actor root);
  caf::result<void> drain(const pci::sbdf& address);
  caf::result<void> drain(messages::domain_id domain);

private:
  struct taking {
    messages::domain_id domain;
    pci::sbdf address;
  };
  template <class Chosen>
  void choose(Chosen chosen);
  void next();
  void remember(const pci::failure& why);

  self_pointer self_;
  environment_ptr all_;
  messages::root_actor root_;
  caf::response_promise promise_;
  std::vector<taking> left_;
  pci::result<void> outcome_; ///< the first failure
};

drain_actor::behavior_type drain(drain_state::self_pointer self, environment_ptr all, messages::root_actor root);

} // namespace actors
