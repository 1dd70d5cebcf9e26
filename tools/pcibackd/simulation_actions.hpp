// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "config/simulation_command.hpp"
#include "pci/result.hpp"
#include "tools/pcibackd/simulated_guest.hpp"
#include "tools/pcibackd/simulated_machine.hpp"
#include "tools/pcibackd/simulation_agenda.hpp"

namespace daemon_program {

/// Does to a simulated host what `pcibackctl sim` and scenarios ask for. By one thread.
class simulation_actions {
public:
  using guests = std::vector<std::unique_ptr<simulated_guest>>;

  /// All of these outlive it. What ends by itself later (a stall) goes to the agenda.
  simulation_actions(platform::sim::host& host, simulated_machine& machine, const guests& all,
                     simulation_agenda& agenda)
      : host_(&host), machine_(&machine), guests_(&all), agenda_(&agenda) {}

  /// Does it, and says what was done: one line. What takes time goes on after this. ENOENT: no such guest; ENODEV: no
  /// such function; ESRCH, EALREADY, EEXIST: not as things are now; EINVAL: an administrator's action.
  [[nodiscard]] pci::result<std::string> perform(const config::simulation_command& what);

private:
  [[nodiscard]] pci::result<simulated_guest*> find(const std::string& name) const;
  [[nodiscard]] pci::result<std::string> to_guest(const config::simulation_command& what);
  [[nodiscard]] pci::result<std::string> to_function(const config::simulation_command& what);
  [[nodiscard]] pci::result<std::string> raise(const config::simulation_command& what);
  [[nodiscard]] pci::result<std::string> storm(const config::simulation_command& what);
  [[nodiscard]] pci::result<std::string> stall(const config::simulation_command& what);
  [[nodiscard]] bool raise_once(const pci::sbdf& address, std::uint16_t vector);

  platform::sim::host* host_;
  simulated_machine* machine_;
  const guests* guests_;
  simulation_agenda* agenda_;
  std::vector<std::jthread> storms_;
};

} // namespace daemon_program
