// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/simulation.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

#include "config/document.hpp"
#include "platform/sim/device.hpp"

namespace daemon_program {
namespace {

pci::result<platform::sim::device_model> model_of(const config::simulated_function& what) {
  auto model = what.model ? platform::sim::builtin_model(config::to_string(*what.model))
                          : config::read_file(*what.dump).and_then([](const std::string& text) {
                              return platform::sim::parse_dump(text);
                            });
  if (!model) {
    const auto source = what.dump ? what.dump->string() : std::string{config::to_string(*what.model)};
    return pci::fail(model.error().error, fmt::format("{}: {}", source, model.error().context));
  }
  auto placed = platform::sim::place(std::move(*model), what.address);
  placed.irq = what.gsi;
  placed.level = what.level;
  return placed;
}

} // namespace

pci::result<std::unique_ptr<simulation>> simulation::make(const config::simulation& what) {
  std::unique_ptr<simulation> made{new simulation};
  return made->build(what).map([&] { return std::move(made); });
}

pci::result<void> simulation::build(const config::simulation& what) {
  for (const auto& function : what.functions) {
    auto model = model_of(function);
    if (!model) {
      return tl::unexpected(model.error());
    }
    host_.add_function(std::move(*model));
  }
  for (const auto& guest : what.guests) {
    wanted_.insert(wanted_.end(), guest.functions.begin(), guest.functions.end());
    guests_.push_back(std::make_unique<simulated_guest>(host_, guest));
  }
  return {};
}

pci::result<void> simulation::run(config::settings settings, control_socket& socket, int signals, bool exit_when_done) {
  for (const auto& guest : guests_) {
    const auto named = [&](const config::guest& one) { return one.match == guest->name(); };
    if (!guest->takes_hot_plug() && std::none_of(settings.guests.begin(), settings.guests.end(), named)) {
      settings.guests.push_back({guest->name(), false});
    }
  }
  for (const auto& address : wanted_) {
    const auto named = [&](const config::device& one) { return one.match.whole_address() == address; };
    if (std::none_of(settings.devices.begin(), settings.devices.end(), named)) {
      settings.devices.emplace_back().match = address;
    }
  }
  auto done = run_daemon(
      host_, settings, socket, signals,
      [&](actors::runtime& runtime, const auto& end) { accompany(runtime, end, exit_when_done); }, [this] { hurry(); });
  const auto failed = std::count_if(guests_.begin(), guests_.end(), [](const auto& one) { return one->failure(); });
  if (done && exit_when_done && failed > 0) {
    return pci::fail(EIO, fmt::format("{} of {} guests did not finish their work", failed, guests_.size()));
  }
  return done;
}

void simulation::accompany(actors::runtime& runtime, const std::function<void()>& end, bool exit_when_done) {
  for (const auto& guest : guests_) {
    guest->start();
  }
  if (wait_until_idle()) {
    print_account(overview_of(runtime));
    if (!exit_when_done) {
      stopping_.wait(false);
    }
  }
  for (const auto& guest : guests_) {
    guest->shut_down();
  }
  end();
}

bool simulation::wait_until_idle() {
  return std::all_of(guests_.begin(), guests_.end(), [](const auto& guest) { return guest->wait_until_idle(); });
}

void simulation::hurry() {
  stopping_ = true;
  stopping_.notify_all();
  for (const auto& guest : guests_) {
    guest->hurry();
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
  text += fmt::format("\n{} guests, {} devices, {} vectors; {} operations served, {} of them for absent functions\n\n",
                      all.domains.size(), all.functions.size(), vectors, operations, absent);
  static_cast<void>(std::fputs(text.c_str(), stdout));
  static_cast<void>(std::fflush(stdout));
}

} // namespace daemon_program
