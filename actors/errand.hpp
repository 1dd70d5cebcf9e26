// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>
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

/// Does one job and ends: slow work on one function's hardware, which must not wait for another's.
messages::worker_actor::behavior_type errand_runner(watched<messages::worker_actor>* self, const char* purpose);

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

/// Runs `work` on a thread of its own.
template <class T, class Self, class Work, class Done>
void run_errand(const environment& all, Self* self, Work work, Done done) {
  auto runner =
      all.threads ? self->template spawn<caf::detached>(errand_runner, "errand") : self->spawn(errand_runner, "errand");
  run_on<T>(runner, self, std::move(work), std::move(done));
}

} // namespace actors
