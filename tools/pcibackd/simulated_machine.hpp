// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "config/simulation.hpp"
#include "platform/sim/host.hpp"

namespace daemon_program {

/// The functions of a simulated host, as its file describes them: in their slots, or out of them.
class simulated_machine {
public:
  /// `host` outlives this.
  explicit simulated_machine(platform::sim::host& host);
  simulated_machine(const simulated_machine&) = delete;
  simulated_machine& operator=(const simulated_machine&) = delete;
  ~simulated_machine() { hurry(); }

  /// Puts in all of them. Tells each that cannot be made, and why; then none is put in.
  [[nodiscard]] std::vector<pci::failure> build(const std::vector<config::simulated_function>& functions);
  /// Puts a function in again. EEXIST: it is there; ENODEV: the file has no such function.
  [[nodiscard]] pci::result<void> plug(const pci::sbdf& address);
  /// Pulls it out, as soon as it is not guarded any more. ENODEV: it is not there.
  [[nodiscard]] pci::result<void> unplug(const pci::sbdf& address);
  [[nodiscard]] bool is_there(const pci::sbdf& address) const;
  /// From now on each access to its configuration space takes so long; 0: none does any more.
  void slow_down(const pci::sbdf& address, std::chrono::milliseconds access);
  /// Nothing takes time any more: the simulation ends. From any thread.
  void hurry();

private:
  struct slot {
    config::simulated_function what;
    platform::sim::device_model model;
  };
  void put_in(const slot& what);
  void set_resets(const slot& what);
  void share_pages();
  void rest(const pci::sbdf& address);

  platform::sim::host* host_;
  std::map<pci::sbdf, slot> slots_; ///< does not change after build
  std::mutex mutex_;
  std::condition_variable hurried_;
  bool hurries_ = false;
};

/// What a function of the file is: the model that is compiled in, or what its dump says, at its address.
[[nodiscard]] pci::result<platform::sim::device_model> model_of(const config::simulated_function& what);

} // namespace daemon_program
