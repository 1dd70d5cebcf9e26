// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/simulation_actions.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace daemon_program {
namespace {

using namespace std::chrono_literals;
using config::simulation_action;

constexpr auto pulse = 200us;       ///< how long a function pulls its line until its driver has served it
constexpr auto storm_pause = 50us;  ///< between the interrupts of a storm: some 20,000 a second at most
constexpr auto slow_access = 100ms; ///< to the configuration space of a function that stalls
constexpr std::size_t most_storms = 16;

double seconds_of(std::chrono::milliseconds time) { return std::chrono::duration<double>{time}.count(); }

std::chrono::milliseconds time_of(const config::simulation_command& what) {
  return what.time.value_or(config::simulation_command::usual_time);
}

pci::result<std::string> done(const pci::result<void>& how, std::string words) {
  return how ? pci::result<std::string>{std::move(words)} : tl::unexpected(how.error());
}

} // namespace

pci::result<simulated_guest*> simulation_actions::find(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& each : *guests_) {
    if (each->name() == name) {
      return each.get();
    }
    names.push_back(each->name());
  }
  return pci::fail(ENOENT, names.empty() ? "the simulated host has no guests; add a [[guest]] to its file"
                                         : fmt::format("the simulated host has no guest \"{}\"; it has {}", name,
                                                       fmt::join(names, ", ")));
}

pci::result<std::string> simulation_actions::perform(const config::simulation_command& what) {
  if (auto checked = config::check(what); !checked) {
    return tl::unexpected(checked.error());
  }
  return what.function ? to_function(what) : to_guest(what);
}

pci::result<std::string> simulation_actions::to_guest(const config::simulation_command& what) {
  const auto found = find(what.guest);
  if (!found) {
    return tl::unexpected(found.error());
  }
  auto& guest = **found;
  const auto time = time_of(what);
  switch (what.action) {
  case simulation_action::start:
    return guest.start().map(
        [&] { return fmt::format("guest \"{}\" starts as domain {}", guest.name(), guest.domain()); });
  case simulation_action::kill:
    return done(guest.kill(), fmt::format("guest \"{}\" is destroyed", guest.name()));
  case simulation_action::reboot:
    return done(guest.reboot(), fmt::format("guest \"{}\" reboots", guest.name()));
  case simulation_action::crash:
    return done(guest.crash(), fmt::format("guest \"{}\" crashes", guest.name()));
  case simulation_action::flood:
    return done(guest.flood(time), fmt::format("guest \"{}\" raises events and operations without end for {:g} s",
                                               guest.name(), seconds_of(time)));
  case simulation_action::stall:
    return done(guest.stall(time), fmt::format("guest \"{}\" does nothing for {:g} s", guest.name(), seconds_of(time)));
  default:
    return pci::fail(EINVAL, fmt::format("{} is not an action on a simulated guest", to_string(what.action)));
  }
}

pci::result<std::string> simulation_actions::to_function(const config::simulation_command& what) {
  const auto& address = *what.function;
  if (what.action == simulation_action::plug) {
    return done(machine_->plug(address), fmt::format("{} is plugged in", pci::to_string(address)));
  }
  if (!machine_->is_there(address)) {
    return pci::fail(ENODEV, fmt::format("the simulated host has no function {} now; `pcibackctl sim plug` puts in one "
                                         "of its file that was unplugged",
                                         pci::to_string(address)));
  }
  switch (what.action) {
  case simulation_action::unplug:
    return done(machine_->unplug(address),
                fmt::format("{} is pulled out; its guest is asked to let go of it first", pci::to_string(address)));
  case simulation_action::raise:
    return raise(what);
  case simulation_action::storm:
    return storm(what);
  case simulation_action::stall:
    return stall(what);
  case simulation_action::error: {
    const auto severity = what.severity.value_or(pci::error_severity::nonfatal);
    host_->inject_error(address, severity);
    return fmt::format("{} reports a {} error", pci::to_string(address), pci::to_string(severity));
  }
  default:
    return pci::fail(EINVAL, fmt::format("{} is not an action on a simulated function", to_string(what.action)));
  }
}

/// By message where one is on, else by the line.
bool simulation_actions::raise_once(const pci::sbdf& address, std::uint16_t vector) {
  if (host_->xen().raise(address, vector)) {
    return true;
  }
  const bool came = host_->xen().raise_intx(address);
  std::this_thread::sleep_for(pulse);
  host_->xen().lower_intx(address);
  return came;
}

pci::result<std::string> simulation_actions::raise(const config::simulation_command& what) {
  const auto& address = *what.function;
  const auto vector = static_cast<std::uint16_t>(what.vector.value_or(0));
  const auto wanted = what.count.value_or(1);
  unsigned came = 0;
  for (unsigned count = 0; count < wanted && !agenda_->ended(); ++count) {
    // The first that nobody takes stands for all: nothing that would change that happens meanwhile.
    if (!raise_once(address, vector)) {
      break;
    }
    ++came;
  }
  if (came == 0) {
    return pci::fail(EIO, fmt::format("nobody received interrupt {} of {}: it has no guest, or the guest's driver has "
                                      "not switched it on; see `pcibackctl list`",
                                      vector, pci::to_string(address)));
  }
  return fmt::format("{} raised {} interrupt{}, {} received", pci::to_string(address), wanted, wanted == 1 ? "" : "s",
                     came);
}

pci::result<std::string> simulation_actions::storm(const config::simulation_command& what) {
  const auto& address = *what.function;
  const auto vector = static_cast<std::uint16_t>(what.vector.value_or(0));
  if (storms_.size() >= most_storms) {
    storms_.erase(storms_.begin()); // which ends it
  }
  storms_.emplace_back([host = host_, agenda = agenda_, address, vector,
                        end = simulation_agenda::clock::now() + time_of(what)](const std::stop_token& stop) {
    const auto over = [&] {
      return stop.stop_requested() || simulation_agenda::clock::now() >= end || agenda->ended();
    };
    while (!over()) {
      // With messages off it pulls its line, and nobody serves it.
      if (!host->xen().raise(address, vector)) {
        static_cast<void>(host->xen().raise_intx(address));
      }
      std::this_thread::sleep_for(storm_pause);
    }
    host->xen().lower_intx(address);
  });
  return fmt::format("{} raises interrupts without end for {:g} s", pci::to_string(address), seconds_of(time_of(what)));
}

pci::result<std::string> simulation_actions::stall(const config::simulation_command& what) {
  const auto address = *what.function;
  machine_->slow_down(address, slow_access);
  agenda_->add([machine = machine_, address] { machine->slow_down(address, 0ms); }, time_of(what));
  return fmt::format("each access to the configuration space of {} takes {} ms, for {:g} s", pci::to_string(address),
                     slow_access.count(), seconds_of(time_of(what)));
}

} // namespace daemon_program
