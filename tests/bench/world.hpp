// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "platform/records.hpp"
#include "platform/sim/frontend.hpp"
#include "platform/sim/host.hpp"

namespace actors {
class runtime;
}

namespace bench {

/// A simulated guest that has functions, and waits as the measurement wants.
struct guest {
  guest(platform::sim::host& host, platform::domain_id domain, unsigned spins)
      : wait(*host.bell(domain), spins), front(host, domain, wait) {}
  /// Reads dword 0 of the function at devfn of its bus 0; all ones: there is none. Throws when the daemon did not
  /// answer in time.
  std::uint32_t read_ids(std::uint8_t devfn);

  platform::sim::threaded_waiter wait;
  platform::sim::frontend front;
};

/// The simulated host with guests, the functions that they are to get, and the daemon when it has been started. The
/// constructor builds all of the simulation. What fails throws std::runtime_error: then nothing can be measured.
class world {
public:
  /// `spins`: how often a waiting guest looks before it sleeps; 0 where all share one processor.
  world(unsigned guests, unsigned devices, unsigned spins = 0);
  world(const world&) = delete;
  world& operator=(const world&) = delete;
  ~world();

  /// The daemon starts, holds its functions and serves; then the toolstack gives them to the guests.
  void start_daemon();
  /// The daemon ends, and another is started, which takes its guests over.
  void replace_daemon();
  /// How many guests the daemon serves.
  [[nodiscard]] std::size_t connected();
  /// The toolstack's half alone.
  void attach();
  /// One guest after the other, without looking for functions.
  void connect();
  /// The thread of each of the first `count` guests runs `life`, all at the same time; returns when all have ended.
  void run(std::size_t count, const std::function<void(guest&, std::size_t)>& life);

  /// What is at the host's address that guest i has as its first.
  [[nodiscard]] const pci::sbdf& function_of(std::size_t guest) const { return functions_[guest * devices_]; }
  /// Asks the daemon for everything that `list` shows, and waits for the answer.
  void list();

  platform::sim::host host;
  std::vector<std::unique_ptr<guest>> guests;
  std::set<int> daemon_threads; ///< which came with the daemon

private:
  void start();

  unsigned devices_;
  std::shared_ptr<platform::records> journal_ = std::make_shared<platform::memory_records>();
  std::vector<pci::sbdf> functions_; ///< of guest i: devices_ from i * devices_ on
  std::vector<platform::domain_id> domains_;
  std::unique_ptr<actors::runtime> daemon_;
};

/// Sends spdlog's lines nowhere, as the daemon's default level has them; their number so far.
class log_counter {
public:
  log_counter();
  [[nodiscard]] std::uint64_t lines() const { return *lines_; }

private:
  std::shared_ptr<std::atomic<std::uint64_t>> lines_;
};

} // namespace bench
