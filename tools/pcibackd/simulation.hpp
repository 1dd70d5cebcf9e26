// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "config/settings.hpp"
#include "config/simulation.hpp"
#include "tools/pcibackd/daemon.hpp"
#include "tools/pcibackd/simulated_guest.hpp"

namespace daemon_program {

/// The simulated host of a file, with its guests.
class simulation {
public:
  /// Fails when a dump cannot be read.
  [[nodiscard]] static pci::result<std::unique_ptr<simulation>> make(const config::simulation& what);

  /// The daemon on the simulated host, which holds every function that a guest is to have. At a signal the guests are
  /// shut down one after the other, then the daemon ends. With `exit_when_done` it ends when all guests have done their
  /// work, after an account of it on standard output; EIO when some did not.
  [[nodiscard]] pci::result<void> run(config::settings settings, control_socket& socket, int signals,
                                      bool exit_when_done);

private:
  simulation() : host_(platform::sim::clock::kind::real) {}
  [[nodiscard]] pci::result<void> build(const config::simulation& what);
  void accompany(actors::runtime& runtime, const std::function<void()>& end, bool exit_when_done);
  /// True when all have done their work or failed; false when `hurry` came before.
  bool wait_until_idle();
  void hurry();
  void print_account(const messages::overview& all) const;
  [[nodiscard]] std::string name_of(const std::optional<messages::domain_id>& domain) const;

  platform::sim::host host_;
  std::vector<pci::sbdf> wanted_; ///< by guests
  std::vector<std::unique_ptr<simulated_guest>> guests_;
  std::atomic<bool> stopping_ = false;
};

} // namespace daemon_program
