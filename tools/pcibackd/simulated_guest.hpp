// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "config/simulation.hpp"
#include "platform/sim/driver.hpp"
#include "platform/sim/host.hpp"

namespace daemon_program {

/// What a guest on the simulated host does, on a thread of its own: waits for its functions, connects, enumerates,
/// binds a driver to each, takes interrupts, reads configuration space, and serves hot-plug until it is shut down. Says
/// each step in a line on standard output.
class simulated_guest {
public:
  /// Builds the domain; the thread starts with `start`.
  simulated_guest(platform::sim::host& host, config::simulated_guest what);
  simulated_guest(const simulated_guest&) = delete;
  simulated_guest& operator=(const simulated_guest&) = delete;
  ~simulated_guest() { shut_down(); }

  void start();
  /// Waits until its work is done, or has failed. False: `shut_down` came before.
  bool wait_until_idle();
  /// The guest's own orderly shutdown, and the end of its domain. Returns when both are done.
  void shut_down();
  /// `wait_until_idle` returns false from now on, and start delays end.
  void hurry();

  [[nodiscard]] const std::string& name() const { return what_.name; }
  [[nodiscard]] bool takes_hot_plug() const { return what_.frontend != config::guest_frontend::netbsd; }
  [[nodiscard]] platform::domain_id domain() const { return domain_; }
  /// What went wrong; nothing while it works, and when all went well.
  [[nodiscard]] std::optional<std::string> failure() const;

private:
  /// A function that the guest found, with its driver and where the hardware really is.
  struct bound_function {
    platform::sim::driver driver;
    pci::sbdf seen;
    pci::sbdf real;
  };

  void run();
  void live();
  [[nodiscard]] pci::result<void> work(platform::sim::frontend& front, platform::sim::waiter& wait);
  [[nodiscard]] pci::result<void> bind_drivers(platform::sim::frontend& front);
  [[nodiscard]] pci::result<void> take_interrupts(platform::sim::waiter& wait);
  [[nodiscard]] pci::result<void> interrupt(const bound_function& function, std::uint16_t entry,
                                            platform::sim::waiter& wait);
  [[nodiscard]] pci::result<void> read_registers(platform::sim::frontend& front);
  [[nodiscard]] std::optional<pci::sbdf> real_address(const pci::sbdf& seen);
  void serve(platform::sim::frontend& front, platform::sim::waiter& wait);
  void become_idle(const pci::result<void>& outcome);
  void say(const std::string& line) const;

  platform::sim::host* host_;
  config::simulated_guest what_;
  platform::domain_id domain_;
  std::shared_ptr<platform::sim::doorbell> bell_;
  std::vector<bound_function> functions_; ///< the thread's own

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool idle_ = false;
  bool hurried_ = false;
  std::optional<std::string> failure_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

} // namespace daemon_program
