// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/actor_clock.hpp>

#include "actors/control/request.hpp"
#include "actors/look/observation.hpp"
#include "actors/look/thread_account.hpp"
#include "actors/look/watched.hpp"
#include "messages/interfaces.hpp"

namespace actors {

/// Takes the answer to one request, a line without its end; called once a request, from the control actor. Empty for a
/// notification: nothing is to be sent, but the request is finished. Must be safe from any thread and not block.
using answer_sink = std::function<void(std::uint64_t connection, std::string line)>;

/// What came of other settings.
struct reload_account {
  std::vector<std::string> taken;   ///< the keys that hold from now on: "frontend_patience_ms", "[[assign]]"
  std::vector<std::string> restart; ///< those that hold when the daemon is started again
};

/// What the daemon can be asked of itself, beside root.
struct control_views {
  std::shared_ptr<observation> seen = std::make_shared<observation>();
  std::function<std::vector<thread_account>()> threads; ///< empty: none are known
  /// Gives a connection its answer, and from then on what happens; empty: it only gets the answer.
  answer_sink watch;
  /// Takes over settings, which are read again where no text is given. EINVAL: a mistake, which changes nothing.
  std::function<pci::result<reload_account>(const std::optional<std::string>& text, const std::string& name)> reload;
  std::function<std::vector<std::string>()> log; ///< its last lines; empty: they are not kept
  std::string settings_file;                     ///< empty: it was started without one
};

struct control_state {
  static inline const char* name = "control";
  using self_pointer = watched_pointer<messages::control_actor, control_state>;
  explicit control_state(self_pointer self) : self_(self) {}

  void open(messages::root_actor root, answer_sink sink, control_views views);
  void take(std::uint64_t connection, const std::string& line);
  void down(const caf::down_msg& down);
  void look_at_trace(std::uint64_t connection);

private:
  void look(std::uint64_t connection, const control::request_id& id);
  void measure(std::uint64_t connection, const control::request_id& id);
  void watch(std::uint64_t connection, const control::request_id& id);
  void trace(std::uint64_t connection, const control::request_id& id, const control::trace& what);
  void reload(std::uint64_t connection, const control::request_id& id, const control::reload& what);
  void recall(std::uint64_t connection, const control::request_id& id);
  void carry_out(std::uint64_t connection, control::request what);
  /// Asks somebody and answers when that one does, or with why it does not.
  template <class Whom, class Answer, class... Words>
  void ask_of(const Whom& whom, std::uint64_t connection, const control::request_id& id, Answer answer,
              Words&&... words);
  /// Asks root.
  template <class Answer, class... Words>
  void ask(std::uint64_t connection, const control::request_id& id, Answer answer, Words&&... words);
  /// Asks root what concerns a guest, which is named here and has its number from then on; `words` stand behind that.
  template <class Answer, class Atom, class... Words>
  void ask_about(const messages::domain_name& guest, std::uint64_t connection, const control::request_id& id,
                 Answer answer, Atom what, Words... words);
  /// Asks the actor of a held function.
  template <class Answer, class... Words>
  void ask_device(const pci::sbdf& address, std::uint64_t connection, const control::request_id& id, Answer answer,
                  Words... words);

  self_pointer self_;
  messages::root_actor root_;
  answer_sink sink_;
  control_views views_;
  std::map<std::uint64_t, caf::actor_clock::time_point> traces_; ///< when each asked last
};

/// Carries out the administrator's requests. Ends when root does. On a thread of its own it can still be asked for the
/// actors when one of them hangs.
messages::control_actor::behavior_type control_behavior(control_state::self_pointer self, messages::root_actor root,
                                                        answer_sink sink, control_views views);

} // namespace actors
