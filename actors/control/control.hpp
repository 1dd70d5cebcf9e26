// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "actors/control/request.hpp"
#include "messages/interfaces.hpp"

namespace actors {

/// Takes the answer to one request, a line without its end; called once a request, from the control actor. Empty for a
/// notification: nothing is to be sent, but the request is finished. Must be safe from any thread and not block.
using answer_sink = std::function<void(std::uint64_t connection, std::string line)>;

struct control_state {
  static inline const char* name = "control";
  using self_pointer = messages::control_actor::stateful_pointer<control_state>;
  explicit control_state(self_pointer self) : self_(self) {}

  void open(messages::root_actor root, answer_sink sink);
  void take(std::uint64_t connection, const std::string& line);
  void down(const caf::down_msg& down);

private:
  void carry_out(std::uint64_t connection, control::request what);
  /// Asks root and answers when it does, or with why it does not.
  template <class Answer, class... Words>
  void ask(std::uint64_t connection, const control::request_id& id, Answer answer, Words&&... words);

  self_pointer self_;
  messages::root_actor root_;
  answer_sink sink_;
};

/// Carries out the administrator's requests. Ends when root does.
messages::control_actor::behavior_type control_behavior(control_state::self_pointer self, messages::root_actor root,
                                                        answer_sink sink);

} // namespace actors
