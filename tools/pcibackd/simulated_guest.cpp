// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/simulated_guest.hpp"

#include <cerrno>
#include <cstdio>

#include <fmt/format.h>

namespace daemon_program {
namespace {

constexpr std::chrono::seconds patient_shutdown{30};

} // namespace

simulated_guest::simulated_guest(platform::sim::host& host, config::simulated_guest what, std::function<void()> changed)
    : host_(&host), what_(std::move(what)), changed_(std::move(changed)) {}

simulated_guest::~simulated_guest() { shut_down(); }

// Guests speak at once: a line is one call, which locks the stream.
void simulated_guest::say(const std::string& line) const {
  static_cast<void>(std::fputs(fmt::format("{}: {}\n", what_.name, line).c_str(), stdout));
  static_cast<void>(std::fflush(stdout));
}

void simulated_guest::tell() const {
  if (changed_) {
    changed_();
  }
}

void simulated_guest::wake() const {
  if (const auto bell = host_->bell(domain_)) {
    bell->ring();
  }
}

pci::result<void> simulated_guest::start() {
  if (runs_) {
    return pci::fail(EALREADY, fmt::format("guest \"{}\" runs already", what_.name));
  }
  if (hurried_) {
    return pci::fail(ESHUTDOWN, "the simulation ends");
  }
  if (thread_.joinable()) {
    thread_.join();
  }
  orders_.forget();
  domain_ = host_->create_domain(what_.name);
  runs_ = true;
  thread_ = std::thread{[this] { run(); }};
  return {};
}

pci::result<void> simulated_guest::must_run() const {
  return runs_ ? pci::result<void>{}
               : pci::fail(ESRCH,
                           fmt::format("guest \"{0}\" does not run; `pcibackctl sim start {0}` starts it", what_.name));
}

pci::result<void> simulated_guest::order(guest_end how) {
  if (auto runs = must_run(); !runs) {
    return runs;
  }
  {
    const std::lock_guard lock(mutex_);
    if (!hurried_) {
      orders_.end = how;
    }
  }
  ordered_.notify_all();
  wake();
  return {};
}

pci::result<void> simulated_guest::stall(std::chrono::milliseconds time) {
  return must_run().map([&] {
    orders_.stalled_until = guest_orders::clock::now() + time;
    wake();
  });
}

pci::result<void> simulated_guest::flood(std::chrono::milliseconds time) {
  return must_run().map([&] {
    orders_.flooding_until = guest_orders::clock::now() + time;
    wake();
  });
}

void simulated_guest::hurry(std::chrono::milliseconds limit) {
  {
    const std::lock_guard lock(mutex_);
    hurried_ = true;
    if (orders_.end == guest_end::none || orders_.end == guest_end::reboot) {
      orders_.end = guest_end::shutdown;
    }
    orders_.deadline = guest_orders::clock::now() + limit;
  }
  ordered_.notify_all();
  wake();
}

void simulated_guest::end() {
  if (!hurried_) {
    hurry(patient_shutdown);
  }
}

void simulated_guest::shut_down() {
  end();
  if (thread_.joinable()) {
    thread_.join();
  }
}

bool simulated_guest::idle() const {
  const std::lock_guard lock(mutex_);
  return idle_ || !what_.autostart;
}

std::optional<std::string> simulated_guest::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void simulated_guest::become_idle(const pci::result<void>& outcome) {
  {
    const std::lock_guard lock(mutex_);
    idle_ = true;
    failure_ = outcome ? std::nullopt : std::optional{pci::to_string(outcome.error())};
  }
  if (!outcome) {
    say("failed: " + pci::to_string(outcome.error()));
  }
  tell();
}

guest_end simulated_guest::live_once() {
  {
    std::unique_lock lock(mutex_);
    ordered_.wait_for(lock, what_.start_delay, [this] { return orders_.end != guest_end::none; });
    if (orders_.end != guest_end::none) {
      return orders_.end;
    }
  }
  guest_life life{*host_, what_, domain_, orders_, [this](const std::string& line) { say(line); }};
  return life.live([this](const pci::result<void>& outcome) { become_idle(outcome); });
}

// Its toolstack's part too: what has crashed is destroyed, and what reboots is built again.
void simulated_guest::run() {
  for (;;) {
    const auto how = live_once();
    if (how == guest_end::crash) {
      say("has crashed");
      static_cast<void>(host_->xen().crash(domain_));
    }
    host_->toolstack_destroy(domain_);
    const std::lock_guard lock(mutex_);
    const bool again =
        how == guest_end::reboot || (how == guest_end::crash && what_.on_crash == config::crash_action::restart);
    if (!again || hurried_ || orders_.end == guest_end::kill) {
      idle_ = true;
      break;
    }
    orders_.forget();
    domain_ = host_->create_domain(what_.name);
  }
  runs_ = false;
  tell();
}

} // namespace daemon_program
