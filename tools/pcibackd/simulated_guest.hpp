// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "tools/pcibackd/guest_life.hpp"

namespace daemon_program {

/// A guest on the simulated host, and its toolstack: it is started, lives on a thread of its own, ends, and is started
/// again. Says each step in a line on standard output.
class simulated_guest {
public:
  /// `changed` is called, from any thread, when its work is done or it has ended.
  simulated_guest(platform::sim::host& host, config::simulated_guest what, std::function<void()> changed = {});
  simulated_guest(const simulated_guest&) = delete;
  simulated_guest& operator=(const simulated_guest&) = delete;
  ~simulated_guest();

  // All of these by one thread. EALREADY, ESRCH: it runs, or does not. Each returns at once.
  [[nodiscard]] pci::result<void> start();
  [[nodiscard]] pci::result<void> kill() { return order(guest_end::kill); }
  [[nodiscard]] pci::result<void> crash() { return order(guest_end::crash); }
  [[nodiscard]] pci::result<void> reboot() { return order(guest_end::reboot); }
  [[nodiscard]] pci::result<void> stall(std::chrono::milliseconds time);
  [[nodiscard]] pci::result<void> flood(std::chrono::milliseconds time);

  /// Its shutdown in order, within `limit`, begins; from any thread. It is not started any more.
  void hurry(std::chrono::milliseconds limit);
  /// `hurry` with what a guest takes, unless it hurries already.
  void end();
  /// `end`, then waits for it.
  void shut_down();

  [[nodiscard]] const std::string& name() const { return what_.name; }
  [[nodiscard]] const config::simulated_guest& description() const { return what_; }
  [[nodiscard]] bool takes_hot_plug() const { return what_.frontend != config::guest_frontend::netbsd; }
  /// Of its present life, or the last.
  [[nodiscard]] platform::domain_id domain() const { return domain_; }
  [[nodiscard]] bool runs() const { return runs_; }
  /// Its work is done, or has failed, or it was never started.
  [[nodiscard]] bool idle() const;
  /// What went wrong with its work; nothing while it works, and when all went well.
  [[nodiscard]] std::optional<std::string> failure() const;

private:
  [[nodiscard]] pci::result<void> must_run() const;
  [[nodiscard]] pci::result<void> order(guest_end how);
  void run();
  [[nodiscard]] guest_end live_once();
  void become_idle(const pci::result<void>& outcome);
  void say(const std::string& line) const;
  void tell() const;
  void wake() const;

  platform::sim::host* host_;
  config::simulated_guest what_;
  std::function<void()> changed_;
  std::atomic<platform::domain_id> domain_{0};
  std::atomic<bool> runs_{false}, hurried_{false};
  guest_orders orders_;

  mutable std::mutex mutex_;
  std::condition_variable ordered_;
  bool idle_ = false;
  std::optional<std::string> failure_;
  std::thread thread_;
};

} // namespace daemon_program
