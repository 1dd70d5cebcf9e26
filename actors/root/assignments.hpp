// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <vector>

#include "actors/environment.hpp"
#include "actors/look/watched.hpp"
#include "actors/xenstore/guest_names.hpp"
#include "messages/interfaces.hpp"

namespace actors {

struct guest {
  messages::domain_id domain = 0;
  guest_names names;
};
/// All guests that xenstore knows. May block.
[[nodiscard]] std::vector<guest> list_guests(platform::store& store);

/// What the settings assign to the guest, in their order.
[[nodiscard]] std::vector<pci::sbdf> assigned_to(const settings& what, const guest_names& who);

/// Gives a guest that has appeared the functions that are assigned to it, one after the other, and ends. One that
/// cannot be given is logged, and the next comes.
using assigner_actor = caf::typed_actor<caf::reacts_to<messages::wait_atom>>;

/// The state of an assigner.
class assigner_state {
public:
  static inline const char* name = "assigner";
  using self_pointer = watched_pointer<assigner_actor, assigner_state>;

  explicit assigner_state(self_pointer self) : self_(self) {}

  void open(environment_ptr all, messages::root_actor root, guest who, std::vector<pci::sbdf> devices);
  /// Time to look again.
  void look();

private:
  void next();
  void find();
  void looked(const messages::function_status& status);
  void attach();
  void give_up(const pci::failure& why);

  self_pointer self_;
  environment_ptr all_;
  messages::root_actor root_;
  guest who_;
  std::vector<pci::sbdf> left_; ///< the last is the next
  platform::clock::duration deadline_{};
};

assigner_actor::behavior_type assigner(assigner_state::self_pointer self, environment_ptr all,
                                       messages::root_actor root, guest who, std::vector<pci::sbdf> devices);

} // namespace actors
