#pragma once

#include <deque>

#include <caf/actor_system.hpp>
#include <caf/detail/type_list.hpp>
#include <caf/execution_unit.hpp>
#include <caf/policy/work_sharing.hpp>
#include <caf/resumable.hpp>
#include <caf/scheduler/coordinator.hpp>

namespace actors {

/// Runs, on the thread that waited for guests' events, the actors that those events concern: no hand-off to a worker.
/// Only operations on interrupts and events for nothing come this way; a port's service answers the rest. Between
/// `begin` and `run` what the current thread makes ready is kept here instead of going to a worker.
class event_batch final : public caf::execution_unit {
public:
  explicit event_batch(caf::actor_system& system) : caf::execution_unit(&system) {}
  event_batch(const event_batch&) = delete;
  event_batch& operator=(const event_batch&) = delete;

  /// The batch of the current thread; null outside one.
  [[nodiscard]] static event_batch* current();
  void begin();
  /// Runs what has become ready and what becomes ready by that, then ends the batch.
  void run();
  void exec_later(caf::resumable* job) override { jobs_.push_back(job); }

private:
  std::deque<caf::resumable*> jobs_;
};

/// CAF's work-sharing scheduler, except that a thread with a batch keeps its jobs.
class batch_scheduler final : public caf::scheduler::coordinator<caf::policy::work_sharing> {
public:
  using caf::scheduler::coordinator<caf::policy::work_sharing>::coordinator;
  /// For actor_system_config::load.
  static caf::actor_system::module* make(caf::actor_system& system, caf::detail::type_list<>) {
    return new batch_scheduler(system);
  }

protected:
  void enqueue(caf::resumable* job) override;
};

} // namespace actors
