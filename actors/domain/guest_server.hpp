// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>

#include "actors/domain/connection.hpp"
#include "actors/domain/guest_limits.hpp"
#include "actors/domain/guest_thread.hpp"
#include "actors/domain/owed_events.hpp"
#include "actors/look/pulse.hpp"
#include "messages/interfaces.hpp"
#include "pci/busy_poll.hpp"
#include "pci/late_events.hpp"

namespace actors {

/// How many threads may look for operations at once instead of waiting for events: half of the processors, so that what
/// else there is to do finds one. None with one processor.
class poll_places {
public:
  explicit poll_places(unsigned processors) : any_(processors > 1), free_(static_cast<int>(processors / 2)) {}
  [[nodiscard]] bool any() const { return any_; }
  [[nodiscard]] bool enter() {
    if (free_.fetch_sub(1) > 0) {
      return true;
    }
    leave();
    return false;
  }
  void leave() { free_.fetch_add(1); }

private:
  const bool any_;
  std::atomic<int> free_;
};

/// Serves one guest: waits for its event channel, answers what is in its page, and only then waits again. What one
/// guest's function takes its time for delays nobody else, for each has a server, and with threads a thread, of its
/// own. A guest that asks again at once is answered without events; one that raises events for nothing, or switches its
/// interrupts too often, is let wait.
class guest_server {
public:
  /// Looking uses a processor, so it is measured by the processor's clock, not by the host's, which may be simulated.
  using stopwatch = std::function<pci::busy_poll::duration()>;
  [[nodiscard]] static pci::busy_poll::duration steady_now() {
    return std::chrono::steady_clock::now().time_since_epoch();
  }

  /// `number`: the connection's, told when its page is unmapped.
  guest_server(std::shared_ptr<connection> guest, messages::domain_actor owner, std::uint64_t number,
               std::shared_ptr<guest_limits> limits, const platform::clock& time, pci::busy_poll::limits polling,
               stopwatch processor = steady_now);
  guest_server(const guest_server&) = delete;
  guest_server& operator=(const guest_server&) = delete;
  ~guest_server();

  /// Serves until `stop`, then lets go of the connection. Never throws: what goes wrong in serving is a bug, and ends
  /// the domain actor. `places`: for looking for the next operation. `owed`: for events that are sent later.
  void run(poll_places& places, owed_events& owed);
  /// One event, where there are no threads. False: there is nothing to do now.
  [[nodiscard]] bool step();
  /// Serves nothing more from now on, except what is being served. Returns at once. True: that the connection is let go
  /// of will be told; false: it has been.
  [[nodiscard]] bool stop();
  /// Lets go of the connection and tells the domain actor so: the last thing that it does, once.
  void let_go();
  [[nodiscard]] bool stopping() const { return stopping_; }
  /// In the census.
  [[nodiscard]] pulse& seen() const { return *seen_; }

private:
  [[nodiscard]] bool handle_next();
  void handle();
  void begin_at(pci::busy_poll::duration now);
  void end_at(pci::busy_poll::duration now);
  [[nodiscard]] bool take_and_serve();
  [[nodiscard]] bool serve(std::optional<connection::operation> work);
  void go_on();
  [[nodiscard]] bool may_be_untold();
  [[nodiscard]] bool follows();
  [[nodiscard]] bool look(pci::busy_poll::duration window);
  [[nodiscard]] bool put_off(std::optional<connection::operation>& work);
  void rest();
  void resume();

  std::shared_ptr<connection> guest_;
  messages::domain_actor owner_;
  const caf::actor_system* system_ = nullptr; ///< its owner's, which it outlives
  const std::uint64_t number_;
  std::shared_ptr<pulse> seen_;
  std::shared_ptr<guest_limits> limits_;
  const platform::clock& time_;
  const stopwatch processor_;
  event_backoff backoff_;
  poll_places* places_ = nullptr; ///< without threads there are none
  owed_events* owed_ = nullptr;   ///< likewise
  pci::busy_poll polling_;
  const bool leaves_out_;                                          ///< events, with threads
  pci::late_events events_{false, pci::late_events::steep_growth}; ///< without threads none is left out
  pci::busy_poll::duration begun_at_{0};    ///< the event, or when the operation was found; by `processor_`
  pci::busy_poll::duration answered_at_{0}; ///< likewise
  bool served_ = false;                     ///< an operation, since `begun_at_`
  bool untold_ = false;                     ///< the last answer's event was left out; what became of it is not known
  bool polled_ = false;                     ///< an operation was found without its event, which is still to come
  std::optional<platform::clock::duration> resume_at_; ///< when it rests
  std::optional<connection::operation> later_;         ///< to be served then; otherwise the channel is unmasked
  std::atomic<bool> stopping_{false};
  std::mutex mutex_; ///< of the rest and of the end of `guest_`
  std::condition_variable stopped_;
  bool gone_ = false; ///< it has let go
};

/// The servers of all guests. With `threads` each has its own; destroying this ends them and waits for them.
class guest_servers {
public:
  guest_servers(bool threads, unsigned processors);
  guest_servers(const guest_servers&) = delete;
  guest_servers& operator=(const guest_servers&) = delete;
  ~guest_servers();

  /// EAGAIN: no thread can be made.
  [[nodiscard]] pci::result<void> start(std::shared_ptr<guest_server> server, messages::domain_id domain);
  /// Without threads: one event of each guest that has one. False: none has.
  [[nodiscard]] bool step();

private:
  struct running {
    std::shared_ptr<guest_server> server;
    std::shared_ptr<std::atomic<bool>> ended;
    std::optional<guest_thread> thread; ///< none without threads; joined first
  };
  void reap();

  const bool threads_;
  poll_places places_; ///< outlives the threads, as does this:
  owed_events owed_;
  std::mutex mutex_;
  std::list<running> all_;
};

} // namespace actors
