// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>

#include "actors/domain/connection.hpp"
#include "actors/domain/guest_limits.hpp"
#include "actors/domain/guest_thread.hpp"
#include "messages/interfaces.hpp"

namespace actors {

/// Serves one guest: waits for its event channel, answers what is in its page, and only then waits again. What one
/// guest's function takes its time for delays nobody else, for each has a server, and with threads a thread, of its
/// own. A guest that raises events for nothing, or switches its interrupts too often, is let wait.
class guest_server {
public:
  /// `number`: the connection's, told when its page is unmapped.
  guest_server(std::shared_ptr<connection> guest, messages::domain_actor owner, std::uint64_t number,
               std::shared_ptr<guest_limits> limits, const platform::clock& time);
  guest_server(const guest_server&) = delete;
  guest_server& operator=(const guest_server&) = delete;
  ~guest_server() = default;

  /// Serves until `stop`, then lets go of the connection. Never throws: what goes wrong in serving is a bug, and ends
  /// the domain actor.
  void run();
  /// One event, where there are no threads. False: there is nothing to do now.
  [[nodiscard]] bool step();
  /// Serves nothing more from now on, except what is being served. Returns at once. True: that the connection is let go
  /// of will be told; false: it has been.
  [[nodiscard]] bool stop();
  /// Lets go of the connection and tells the domain actor so: the last thing that it does, once.
  void let_go();
  [[nodiscard]] bool stopping() const { return stopping_; }

private:
  [[nodiscard]] bool handle_next();
  void handle();
  void serve(std::optional<connection::operation> work);
  [[nodiscard]] bool put_off(std::optional<connection::operation>& work);
  void rest();
  void resume();

  std::shared_ptr<connection> guest_;
  messages::domain_actor owner_;
  const std::uint64_t number_;
  std::shared_ptr<guest_limits> limits_;
  const platform::clock& time_;
  event_backoff backoff_;
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
  explicit guest_servers(bool threads) : threads_(threads) {}
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
  std::mutex mutex_;
  std::list<running> all_;
};

} // namespace actors
