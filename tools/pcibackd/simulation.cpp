// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/simulation.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

#include "tools/pcibackd/scenario_step.hpp"
#include "tools/pcibackd/simulation_request.hpp"

namespace daemon_program {
namespace {

// Ctrl-C ends a simulation within a second: this, and what the daemon needs after it.
constexpr std::chrono::milliseconds last_orders{400};

// Beside what guests say.
void print_line(const std::string& what) {
  static_cast<void>(std::fputs((what + "\n").c_str(), stdout));
  static_cast<void>(std::fflush(stdout));
}

bool is_administrators(config::simulation_action action) {
  return action >= config::simulation_action::hold && action != config::simulation_action::end;
}

} // namespace

simulation::simulation(const config::simulation& what)
    : host_(platform::sim::clock::kind::real), machine_(host_), what_(what),
      actions_(host_, machine_, guests_, agenda_), tell_(print_line) {}

pci::result<std::unique_ptr<simulation>> simulation::make(const config::simulation& what) {
  std::unique_ptr<simulation> made{new simulation{what}};
  if (const auto wrong = made->machine_.build(what.functions); !wrong.empty()) {
    return tl::unexpected(wrong.front());
  }
  for (const auto& guest : what.guests) {
    made->guests_.push_back(
        std::make_unique<simulated_guest>(made->host_, guest, [all = made.get()] { all->agenda_.wake(); }));
  }
  return made;
}

config::complaints simulation::mistakes(const config::simulation& what) {
  config::complaints all;
  for (const auto& function : what.functions) {
    if (const auto model = model_of(function); !model) {
      // What is wrong with a file's text needs no errno.
      const auto& why = model.error();
      const bool of_text = why.error == EINVAL || why.error == EFBIG || why.error == ENODEV;
      all.push_back({function.at, fmt::format("{}: {}", pci::to_string(function.address),
                                              of_text ? why.context : pci::to_string(why))});
    }
  }
  return all;
}

/// What a simulated host needs that the settings do not say.
config::settings simulation::complete(config::settings settings) const {
  for (const auto& guest : guests_) {
    const auto named = [&](const config::guest& one) { return one.match == guest->name(); };
    if (!guest->takes_hot_plug() && std::none_of(settings.guests.begin(), settings.guests.end(), named)) {
      settings.guests.push_back({guest->name(), false});
    }
    for (const auto& address : guest->description().functions) {
      const auto own = [&](const config::device& one) { return one.match.whole_address() == address; };
      if (std::none_of(settings.devices.begin(), settings.devices.end(), own)) {
        auto& device = settings.devices.emplace_back();
        device.match = address;
        device.seize = true;
      }
    }
  }
  return settings;
}

pci::result<void> simulation::run(config::settings settings, control_socket& socket, int signals, bool exit_when_done) {
  socket_path_ = settings.socket;
  auto done = run_daemon(
      host_, complete(std::move(settings)), socket, signals,
      [&](actors::runtime& runtime, const auto& end) { accompany(runtime, end, exit_when_done); }, [this] { hurry(); },
      {},
      [this, sink = socket.sink()](std::uint64_t connection, const std::string& line) {
        return take(sink, connection, line);
      },
      {}, [this](config::settings next) { return complete(std::move(next)); });
  const auto failed = std::count_if(guests_.begin(), guests_.end(), [](const auto& one) { return one->failure(); });
  if (done && exit_when_done && failed > 0) {
    return pci::fail(EIO, fmt::format("{} of {} guests did not finish their work", failed, guests_.size()));
  }
  return done;
}

bool simulation::take(const control_socket::answer_sink& sink, std::uint64_t connection, const std::string& line) {
  auto request = parse_simulation_request(line);
  if (!request) {
    return false;
  }
  agenda_.add([this, sink, connection, what = std::move(*request)] {
    const auto outcome = what.what.and_then([&](const auto& command) { return actions_.perform(command); });
    sink(connection, answer_to(what.id, outcome));
  });
  return true;
}

void simulation::accompany(actors::runtime& runtime, const std::function<void()>& end, bool exit_when_done) {
  for (const auto& guest : guests_) {
    if (guest->description().autostart) {
      static_cast<void>(guest->start());
    }
  }
  plan(runtime);
  bool accounted = false;
  while (!agenda_.ended() && !(accounted && exit_when_done && events_left_ == 0)) {
    if (!accounted && all_idle()) {
      accounted = true;
      print_account(overview_of(runtime));
      if (!exit_when_done) {
        print_suggestions(socket_path_);
      }
    } else if (const auto job = agenda_.next()) {
      (*job)();
    }
  }
  for (const auto& guest : guests_) {
    guest->end();
  }
  for (const auto& guest : guests_) {
    guest->shut_down();
  }
  end();
}

void simulation::plan(actors::runtime& runtime) {
  events_left_ = what_.events.size();
  for (const auto& each : what_.events) {
    agenda_.add(
        [this, &runtime, what = each.what] {
          --events_left_;
          carry_out(runtime, what);
        },
        each.at_time);
  }
}

void simulation::carry_out(actors::runtime& runtime, const config::simulation_command& what) {
  if (what.action == config::simulation_action::end) {
    tell_("scenario: the end");
    agenda_.end();
  } else if (is_administrators(what.action)) {
    administer(runtime, what, [tell = tell_](const std::string& line) { tell("scenario: " + line); });
  } else {
    const auto outcome = actions_.perform(what);
    tell_(fmt::format("scenario: {}",
                      outcome ? *outcome : fmt::format("{}: {}", to_string(what), outcome.error().context)));
  }
}

bool simulation::all_idle() const {
  return std::all_of(guests_.begin(), guests_.end(), [](const auto& guest) { return guest->idle(); });
}

void simulation::hurry() {
  agenda_.end();
  machine_.hurry();
  for (const auto& guest : guests_) {
    guest->hurry(last_orders);
  }
}

std::string simulation::name_of(const std::optional<messages::domain_id>& domain) const {
  const auto is_it = [&](const auto& guest) { return guest->domain() == domain; };
  const auto found = std::find_if(guests_.begin(), guests_.end(), is_it);
  return found == guests_.end() ? "-" : (*found)->name();
}

// Every number is the daemon's own, as `pcibackctl list` has it.
void simulation::print_account(const messages::overview& all) const {
  std::string text = fmt::format("\n{:<12} {:<13} {:<13} {:<9} {:<10} {:>7} {:>10} {:>8}\n", "guest", "device",
                                 "seen at", "state", "interrupts", "vectors", "operations", "refused");
  std::size_t vectors = 0;
  for (const auto& function : all.functions) {
    vectors += function.vectors.size();
    text += fmt::format("{:<12} {:<13} {:<13} {:<9} {:<10} {:>7} {:>10} {:>8}\n", name_of(function.domain),
                        pci::to_string(function.address),
                        function.virtual_address ? pci::to_string(*function.virtual_address) : "-",
                        messages::to_string(function.state), messages::to_string(function.mode),
                        function.vectors.size(), function.operations, function.refused);
  }
  std::uint64_t operations = 0;
  std::uint64_t absent = 0;
  for (const auto& domain : all.domains) {
    operations += domain.operations;
    absent += domain.absent;
  }
  text += fmt::format("\n{} guests, {} devices, {} vectors; {} operations served, {} of them for absent functions\n",
                      all.domains.size(), all.functions.size(), vectors, operations, absent);
  tell_(text);
}

void simulation::print_suggestions(const std::string& socket) const {
  const auto option = socket == config::settings{}.socket ? std::string{} : fmt::format(" --socket {}", socket);
  const auto busy = std::find_if(guests_.begin(), guests_.end(),
                                 [](const auto& guest) { return !guest->description().functions.empty(); });
  const auto& who = busy == guests_.end() ? guests_.begin() : busy;
  const auto function =
      busy == guests_.end() ? what_.functions.front().address : (*busy)->description().functions.front();
  auto text = fmt::format("The simulated host runs until Ctrl-C. Try next, in another terminal:\n"
                          "  pcibackctl{0} list\n"
                          "  pcibackctl{0} sim raise {1}\n",
                          option, pci::to_string(function));
  text += who == guests_.end() ? fmt::format("  pcibackctl{} sim unplug {}\n", option, pci::to_string(function))
                               : fmt::format("  pcibackctl{} sim kill {}\n", option, (*who)->name());
  tell_(text);
}

} // namespace daemon_program
