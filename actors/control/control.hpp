// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/control/request.hpp"
#include "actors/look/observation.hpp"
#include "actors/look/thread_account.hpp"
#include "actors/look/watched.hpp"
#include "messages/interfaces.hpp"

namespace actors {

/// Takes the answer to one request, a line without its end; called once a request, from the control actor. Empty for a
/// notification: nothing is to be sent, but the request is finished. Must be safe from any thread and not block.
using answer_sink = std::function<void(std::uint64_t connection, std::string line)>;

/// What the daemon can be asked of itself, beside root.
struct control_views {
  std::shared_ptr<observation> seen = std::make_shared<observation>();
  std::function<std::vector<thread_account>()> threads; ///< empty: none are known
  /// Gives a connection its answer, and from then on what happens; empty: it only gets the answer.
  answer_sink watch;
};

struct control_state {
  static inline const char* name = "control";
  using self_pointer = watched_pointer<messages::control_actor, control_state>;
  explicit control_state(self_pointer self) : self_(self) {}

  void open(messages::root_actor root, answer_sink sink, control_views views);
  void take(std::uint64_t connection, const std::string& line);
  void down(const caf::down_msg& down);

private:
  void look(std::uint64_t connection, const control::request_id& id);
  void measure(std::uint64_t connection, const control::request_id& id);
  void watch(std::uint64_t connection, const control::request_id& id);
  void carry_out(std::uint64_t connection, control::request what);
  /// Asks somebody and answers when that one does, or with why it does not.
  template <class Whom, class Answer, class... Words>
  void ask_of(const Whom& whom, std::uint64_t connection, const control::request_id& id, Answer answer,
              Words&&... words);
  /// Asks root.
  template <class Answer, class... Words>
  void ask(std::uint64_t connection, const control::request_id& id, Answer answer, Words&&... words);
  /// Asks the actor of a held function.
  template <class Answer, class... Words>
  void ask_device(const pci::sbdf& address, std::uint64_t connection, const control::request_id& id, Answer answer,
                  Words... words);

  self_pointer self_;
  messages::root_actor root_;
  answer_sink sink_;
  control_views views_;
};

/// Carries out the administrator's requests. Ends when root does. On a thread of its own it can still be asked for the
/// actors when one of them hangs.
messages::control_actor::behavior_type control_behavior(control_state::self_pointer self, messages::root_actor root,
                                                        answer_sink sink, control_views views);

} // namespace actors
