// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <caf/response_promise.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/environment.hpp"
#include "actors/look/watched.hpp"
#include "messages/errors.hpp"
#include "messages/interfaces.hpp"

namespace actors {

/// Does jobs until it is told to exit: the store's worker.
messages::worker_actor::behavior_type worker(watched<messages::worker_actor>* self, const char* purpose);

/// Does one job and ends.
messages::worker_actor::behavior_type job_runner(watched<messages::worker_actor>* self, const char* purpose);

struct function_worker_state {
  static inline const char* name = "worker";
  using self_pointer = watched_pointer<messages::worker_actor, function_worker_state>;
  explicit function_worker_state(self_pointer self) : self_(self) {}

  void open(environment_ptr all) { all_ = std::move(all); }
  caf::result<void> run(const messages::job& what);

private:
  void begin_next();

  self_pointer self_;
  environment_ptr all_;
  std::deque<std::pair<caf::response_promise, messages::job>> waiting_;
  bool busy_ = false;
};

/// The order of the slow work on one function, at `address`: does the jobs one after the other, each on a thread that
/// ends with it, so that a function that nobody works on has none. Outlives the function's device actor: what one that
/// a bug has ended began is over before the next one's work begins.
messages::worker_actor::behavior_type function_worker(function_worker_state::self_pointer self, environment_ptr all,
                                                      const pci::sbdf& address);

/// Gives an actor the manners that CAF's defaults lack: unexpected messages and errors are logged, not printed or
/// deadly; an exception is logged as the bug that it is and ends the actor, for its supervisor to see.
void behave(caf::scheduled_actor* self);

/// Answers a request with a result.
template <class T>
void reply(caf::response_promise& promise, const pci::result<T>& what) {
  if (!what) {
    promise.deliver(messages::to_error(what.error()));
  } else if constexpr (std::is_void_v<T>) {
    promise.deliver(caf::unit);
  } else {
    promise.deliver(*what);
  }
}

/// Answers all that wait for the same, who wait no more then.
inline void reply_all(std::vector<caf::response_promise>& promises, const pci::result<void>& what) {
  for (auto& promise : std::exchange(promises, {})) {
    reply(promise, what);
  }
}

/// Runs `work` (returning pci::result<T>) on `worker` and hands the result to `done` in `self`'s own context.
template <class T, class Self, class Work, class Done>
void run_on(const messages::worker_actor& worker, Self* self, Work work, Done done) {
  auto slot = std::make_shared<std::optional<pci::result<T>>>();
  auto finish = std::make_shared<Done>(std::move(done));
  // What a job throws is its result: the words are lost when it ends the worker, and the store has only one worker.
  messages::job job{[slot, work = std::move(work)]() mutable {
    try {
      slot->emplace(work());
    } catch (const std::exception& what) {
      slot->emplace(pci::fail(EPROTO, std::string("this is a bug: ") + what.what()));
    }
  }};
  // No time-out: a worker always answers, when its job is done or when it ends.
  self->request(worker, caf::infinite, messages::run_atom_v, std::move(job))
      .then([slot, finish] { (*finish)(std::move(**slot)); },
            [finish](caf::error&) { (*finish)(pci::result<T>{pci::fail(ECANCELED, "the daemon is stopping")}); });
}

/// A thread for one job; without threads, an actor that is scheduled as others are.
template <class Self>
messages::worker_actor spawn_job_runner(const environment& all, Self* self) {
  return all.threads ? self->template spawn<caf::detached>(job_runner, "job") : self->spawn(job_runner, "job");
}

/// Runs `work`, which belongs to no held function, on a thread of its own.
template <class T, class Self, class Work, class Done>
void run_on_new_thread(const environment& all, Self* self, Work work, Done done) {
  run_on<T>(spawn_job_runner(all, self), self, std::move(work), std::move(done));
}

} // namespace actors
