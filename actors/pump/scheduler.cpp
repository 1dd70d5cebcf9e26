#include "actors/pump/scheduler.hpp"

namespace actors {
namespace {

thread_local event_batch* current_batch = nullptr;

} // namespace

event_batch* event_batch::current() { return current_batch; }

void event_batch::begin() { current_batch = this; }

void event_batch::run() {
  const auto throughput = system().scheduler().max_throughput();
  while (!jobs_.empty()) {
    auto* job = jobs_.front();
    jobs_.pop_front();
    if (job->resume(this, throughput) == caf::resumable::resume_later) {
      jobs_.push_back(job);
    } else {
      caf::intrusive_ptr_release(job); // the reference that the queue had
    }
  }
  current_batch = nullptr;
}

void batch_scheduler::enqueue(caf::resumable* job) {
  if (auto* here = event_batch::current()) {
    here->exec_later(job);
  } else {
    caf::scheduler::coordinator<caf::policy::work_sharing>::enqueue(job);
  }
}

} // namespace actors
