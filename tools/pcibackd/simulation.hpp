// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.hpp"
#include "config/simulation.hpp"
#include "tools/pcibackd/daemon.hpp"
#include "tools/pcibackd/simulated_guest.hpp"
#include "tools/pcibackd/simulated_machine.hpp"
#include "tools/pcibackd/simulation_actions.hpp"
#include "tools/pcibackd/simulation_agenda.hpp"

namespace daemon_program {

/// The simulated host of a file, with its guests and what happens to them.
class simulation {
public:
  /// Fails with the first dump that cannot be used.
  [[nodiscard]] static pci::result<std::unique_ptr<simulation>> make(const config::simulation& what);
  /// All of them.
  [[nodiscard]] static config::complaints mistakes(const config::simulation& what);

  /// Where what happens is told, a piece of text at a time, without its last end of line; standard output otherwise.
  /// Before `run`; called from several threads.
  void when_told(std::function<void(const std::string&)> tell) { tell_ = std::move(tell); }
  /// The daemon on the simulated host, which holds every function that a guest is to have, and does what the file's
  /// events and `pcibackctl sim` want. At a signal the guests are shut down, and those that do not follow within half a
  /// second are destroyed; then the daemon ends. With `exit_when_done` it ends when all guests have done their work and
  /// all events have been, after an account on standard output; EIO when some guests did not.
  [[nodiscard]] pci::result<void> run(config::settings settings, control_socket& socket, int signals,
                                      bool exit_when_done);

private:
  explicit simulation(const config::simulation& what);
  [[nodiscard]] config::settings complete(config::settings settings) const;
  void accompany(actors::runtime& runtime, const std::function<void()>& end, bool exit_when_done);
  void plan(actors::runtime& runtime);
  void carry_out(actors::runtime& runtime, const config::simulation_command& what);
  /// False: another method's.
  [[nodiscard]] bool take(const control_socket::answer_sink& sink, std::uint64_t connection, const std::string& line);
  [[nodiscard]] bool all_idle() const;
  void hurry();
  void print_account(const messages::overview& all) const;
  void print_suggestions(const std::string& socket) const;
  [[nodiscard]] std::string name_of(const std::optional<messages::domain_id>& domain) const;

  platform::sim::host host_;
  simulation_agenda agenda_;
  simulated_machine machine_;
  config::simulation what_;
  std::vector<std::unique_ptr<simulated_guest>> guests_;
  simulation_actions actions_;
  std::string socket_path_;
  std::function<void(const std::string&)> tell_;
  std::size_t events_left_ = 0; ///< the companion's thread's own
};

} // namespace daemon_program
