// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string_view>

#include <caf/response_promise.hpp>

#include "actors/environment.hpp"
#include "actors/look/watched.hpp"
#include "messages/interfaces.hpp"

namespace actors {

/// One command of an administrator: the toolstack's half of handing a function to a guest or taking it back. Lives for
/// that one command, so that several can be under way.
using attachment_actor = caf::typed_actor<
    caf::replies_to<messages::attach_atom, messages::domain_id, pci::sbdf, messages::attach_options>::with<pci::sbdf>,
    caf::replies_to<messages::detach_atom, messages::domain_id, pci::sbdf>::with<void>,
    /// As detach, but by force when the guest does not answer in its time.
    caf::replies_to<messages::drain_atom, messages::domain_id, pci::sbdf>::with<void>,
    caf::reacts_to<messages::wait_atom>, caf::reacts_to<messages::changed_atom>>;

/// The state of an attachment actor.
class attachment_state {
public:
  static inline const char* name = "attachment";
  using self_pointer = watched_pointer<attachment_actor, attachment_state>;

  explicit attachment_state(self_pointer self) : self_(self) {}
  ~attachment_state();
  attachment_state(const attachment_state&) = delete;
  attachment_state& operator=(const attachment_state&) = delete;

  void open(environment_ptr all, messages::root_actor root);
  caf::result<pci::sbdf> attach(messages::domain_id domain, const pci::sbdf& address,
                                const messages::attach_options& how);
  caf::result<void> detach(messages::domain_id domain, const pci::sbdf& address);
  caf::result<void> drain(messages::domain_id domain, const pci::sbdf& address);
  /// Time to look again.
  void poll();
  /// The guest's nodes have changed: soon is the time to look again.
  void changed();

private:
  using step = void (attachment_state::*)();
  // What libxl waits for a backend, on top of the time that a frontend is given.
  static constexpr std::chrono::seconds toolstack_patience{10};
  // For the backend's own answer, when the frontend's time is over.
  static constexpr std::chrono::seconds drain_margin{1};
  /// What is asked for: then the function's actor is looked for, and `then` is done.
  caf::response_promise begin(messages::domain_id domain, const pci::sbdf& address, platform::clock::duration patience,
                              step then);
  void ask_frontend(step then);
  void ask_store(step then, bool looks_able);
  void again(step what);
  void again_when_changed(step what);
  void look_soon();
  void listen();

  // attaching.cpp
  void begin_grant();
  void try_to_add();
  void grant();
  void add();
  void look_at_addition();
  void undo(const pci::failure& why);
  void take_nodes_back();

  // detaching.cpp
  void begin_taking();
  void begin_removal();
  void look_at_removal();
  void removal_agreed();
  void remove_nodes();
  void wait_until_clean();
  void take_by_force();
  void take_inherited();

  void fail(const pci::failure& why);
  void allow(platform::clock::duration time);
  [[nodiscard]] bool time_is_over() const;
  [[nodiscard]] bool is_overtaken(const pci::result<void>& done) const;

  self_pointer self_;
  environment_ptr all_;
  messages::root_actor root_;
  messages::device_actor device_;
  messages::domain_id domain_ = 0;
  pci::sbdf address_;
  messages::attach_options how_;
  bool forced_ = false; ///< the guest's consent is waited for, but not needed
  bool served_ = false; ///< there is a backend that answers for the guest
  bool plug_ = false;   ///< the guest's frontend runs, and may be told
  caf::response_promise promise_;
  pci::failure failure_; ///< why what was begun is undone
  step next_ = nullptr;
  bool changed_ = false;       ///< the guest's nodes, since the last look began
  std::uint64_t listener_ = 0; ///< the pump's number; 0: none
  /// A change was told of and not yet taken: a guest can cause them as fast as it likes.
  std::shared_ptr<std::atomic<bool>> pending_ = std::make_shared<std::atomic<bool>>(false);
  platform::clock::duration deadline_{};
};

attachment_actor::behavior_type attachment(attachment_state::self_pointer self, environment_ptr all,
                                           messages::root_actor root);

} // namespace actors
