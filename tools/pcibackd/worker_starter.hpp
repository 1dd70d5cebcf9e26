// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <vector>

#include <sys/types.h>

#include "pci/result.hpp"
#include "platform/descriptor.hpp"

namespace daemon_program {

/// What a worker has of the connections to its host process, or that of the worker's: one end of each.
struct process_ends {
  platform::descriptor requests;
  platform::descriptor events;
  platform::descriptor signals; ///< a pipe: what the host process reads of signals, the worker reads here
};

/// Starts workers for a host process, one after the other. A worker must have none of the host process's threads, open
/// files and memory, so it is no child of its: it is forked by a process that was made before there were any, and that
/// does nothing else. When the host process ends, this one does, and the worker with it.
class worker_starter {
public:
  using worker_body = std::function<void(process_ends mine)>;

  /// Forks, before any thread is made. `body` is what a worker does; when it returns, the worker has failed. `closed`:
  /// descriptors that are the host process's alone.
  [[nodiscard]] static pci::result<worker_starter> make(const worker_body& body, const std::vector<int>& closed);
  worker_starter(worker_starter&& from) noexcept;
  worker_starter& operator=(worker_starter&&) = delete;
  worker_starter(const worker_starter&) = delete;
  worker_starter& operator=(const worker_starter&) = delete;
  /// Ends that process, and the worker if there is one.
  ~worker_starter();

  /// Starts a worker, when there is none, and returns its number. EPIPE: the process that starts them has ended.
  [[nodiscard]] pci::result<pid_t> start(const process_ends& its) const;
  /// Readable when the worker has ended.
  [[nodiscard]] int end_announced() const { return socket_.get(); }
  /// How the worker has ended, as waitpid has it. Waits for that. EPIPE as above; the worker has ended then too.
  [[nodiscard]] pci::result<int> ended() const;

private:
  worker_starter(platform::descriptor socket, pid_t process) : socket_(std::move(socket)), process_(process) {}

  platform::descriptor socket_;
  pid_t process_ = 0; ///< 0: moved from
};

} // namespace daemon_program
