// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/jobs.hpp"

#include <exception>

#include <spdlog/spdlog.h>

namespace actors {

messages::worker_actor::behavior_type worker(watched<messages::worker_actor>* self, const char* purpose) {
  behave(self);
  self->seen().is("worker", purpose);
  spdlog::debug("{}'s thread starts", purpose);
  return {[](messages::run_atom, const messages::job& job) { job.run(); }};
}

messages::worker_actor::behavior_type job_runner(watched<messages::worker_actor>* self, const char* purpose) {
  behave(self);
  self->seen().is(purpose);
  self->seen().is_passing();
  spdlog::trace("{} starts", purpose);
  return {[self](messages::run_atom, const messages::job& job) {
    job.run();
    self->quit();
  }};
}

caf::result<void> function_worker_state::run(const messages::job& what) {
  auto promise = self_->make_response_promise();
  waiting_.emplace_back(promise, what);
  begin_next();
  return promise;
}

void function_worker_state::begin_next() {
  if (busy_ || waiting_.empty()) {
    return;
  }
  busy_ = true;
  auto [promise, what] = std::move(waiting_.front());
  waiting_.pop_front();
  const auto over = [this] {
    busy_ = false;
    begin_next();
  };
  self_->request(spawn_job_runner(*all_, self_), caf::infinite, messages::run_atom_v, std::move(what))
      .then(
          [promise = promise, over]() mutable {
            promise.deliver(caf::unit);
            over();
          },
          [promise = promise, over](caf::error& why) mutable {
            promise.deliver(why);
            over();
          });
}

messages::worker_actor::behavior_type function_worker(function_worker_state::self_pointer self, environment_ptr all,
                                                      const pci::sbdf& address) {
  behave(self);
  self->seen().is("worker", pci::to_string(address));
  auto* state = &self->state;
  state->open(std::move(all));
  return {[state](messages::run_atom, const messages::job& what) { return state->run(what); }};
}

void behave(caf::scheduled_actor* self) {
  self->set_default_handler([](caf::scheduled_actor* who, caf::message_view&) -> caf::result<caf::message> {
    spdlog::error("{} got a message that it does not know", who->name());
    return caf::sec::unexpected_message;
  });
  self->set_error_handler([](caf::scheduled_actor* who, caf::error& error) {
    spdlog::warn("{}: {}", who->name(), messages::to_failure(error, "an answer that nobody waits for").context);
  });
  self->set_exception_handler([](caf::scheduled_actor* who, std::exception_ptr& thrown) -> caf::error {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& what) {
      spdlog::critical("{} ends: {}; this is a bug", who->name(), what.what());
    } catch (...) {
      spdlog::critical("{} ends after an unknown exception; this is a bug", who->name());
    }
    return caf::sec::runtime_error;
  });
}

} // namespace actors
