// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/device/line.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace actors {

using pci::line_decision;

line::line(environment_ptr all, const pci::sbdf& address)
    : all_(std::move(all)), address_(address), limiter_(all_->configuration->line_rate) {
  log_.use(all_->host.time());
  danger_log_.use(all_->host.time());
}

std::optional<pci::failure> line::refusal(const hardware& device, pci::line_policy policy) {
  if (policy != pci::line_policy::refuse) {
    return std::nullopt;
  }
  const auto facts = device.look_at_line();
  if (pci::decide({.facts = facts, .policy = policy}).decision != line_decision::refuse) {
    return std::nullopt;
  }
  return pci::failure{EBUSY, fmt::format("{} is on interrupt line {}, which dom0 uses too ({}), and its settings say "
                                         "line = \"refuse\"",
                                         pci::to_string(address_), facts.gsi, facts.drivers)};
}

// -- the beginning and the end

void line::begin(std::shared_ptr<serving> guest, pci::line_policy policy) {
  const std::lock_guard lock(mutex_);
  guest_ = std::move(guest);
  const auto [facts, handler] = guest_->exclusively([](const hardware& device) {
    return std::pair{device.line(), device.has_handler()};
  });
  acknowledgement_.begin(facts, policy);
  watch_ = {};
  fresh_ = true;
  masked_ = check_due_ = rebinding_ = renew_ = false;
  holder_refused_ = acknowledgement_.plan().handler && !handler; // tried already
  if (handler) {
    listen();
  }
  follow_policy();
}

void line::resume(std::shared_ptr<serving> guest, pci::line_policy policy, bool enabled) {
  begin(std::move(guest), policy);
  std::unique_lock lock(mutex_);
  acknowledgement_.set_enabled(enabled);
  holder_refused_ = false; // the other holder has not been tried: the earlier instance may have stopped in order
  masked_ = true;
  let_through();
  unmask(lock);
}

void line::end() {
  const std::lock_guard lock(mutex_);
  if (!guest_) {
    return;
  }
  if (acknowledgement_.handler()) {
    all_->host.lines().ignore(address_);
  }
  spurious_ += std::exchange(watch_, {}).spurious();
  acknowledgement_.end();
  follow_policy();
  guest_.reset();
}

// The kernel takes bus mastering from the function when the daemon's descriptor of uio closes, but not when uio was
// unbound before; and nobody would let interrupts through.
void line::leave() {
  const std::lock_guard lock(mutex_);
  if (!guest_ || !acknowledgement_.handler()) {
    return;
  }
  const auto left = guest_->exclusively([](hardware& device) {
    auto bound = device.rebind(platform::holder::stub, device.guest_number());
    if (bound) {
      device.unmask_intx();
    }
    return bound;
  });
  all_->host.lines().ignore(address_);
  // Unlimited: the daemon stops.
  spdlog::warn("{}: nobody acknowledges its interrupts for dom0's {} on line {} until pcibackd runs again{}",
               pci::to_string(address_), acknowledgement_.facts().drivers, acknowledgement_.facts().gsi,
               left ? "" : "; and its guest has lost it: " + pci::to_string(left.error()));
  guest_.reset();
}

void line::listen() {
  const auto listening = all_->host.lines().listen(address_);
  acknowledgement_.set_handler(listening.has_value());
  if (!listening) {
    holder_refused_ = true;
    log_.write(spdlog::level::warn, "{}: {}", pci::to_string(address_), pci::to_string(listening.error()));
  }
}

void line::follow_policy() {
  const bool wanted = acknowledgement_.leased() && acknowledgement_.plan().decision == line_decision::noirqdebug;
  if (wanted == quiet_) {
    return;
  }
  auto& lines = all_->host.lines();
  const auto done = wanted ? all_->lockups->forbid(lines, address_) : all_->lockups->allow(lines, address_);
  quiet_ = wanted && done;
  if (!done) {
    log_.write(spdlog::level::warn, "{}: noirqdebug cannot be set: {}", pci::to_string(address_),
               pci::to_string(done.error()));
  }
}

// -- the administrator

pci::result<void> line::set_enabled(bool on) {
  const std::lock_guard lock(mutex_);
  const auto decision = acknowledgement_.plan().decision;
  const bool switchable = decision == line_decision::acknowledge || decision == line_decision::guest_absent ||
                          decision == line_decision::switched_off;
  if (!guest_ || !switchable) {
    return pci::fail(ENODEV, fmt::format("{} has no acknowledging handler: {}", pci::to_string(address_),
                                         guest_ ? pci::to_string(decision) : "no guest has it"));
  }
  if (acknowledgement_.enabled() != on) {
    acknowledgement_.set_enabled(on);
    holder_refused_ = false;
    tell_plan();
  }
  return {};
}

// -- interrupts

bool line::messages_on() const { return guest_->mode() != pci::interrupt_mode::intx; }

void line::let_through() {
  const auto now = all_->host.time().now();
  if (!masked_ || !acknowledgement_.lets_through(messages_on()) || limiter_.pass(now) > duration{0} ||
      guest_->suspended()) { // after a reset the line is open again
    return;
  }
  masked_ = false;
  guest_->soon([](hardware& device) { device.unmask_intx(); });
}

// Without the lock, which others want for moments: the function may take its time to answer.
void line::unmask(std::unique_lock<std::mutex>& lock) {
  const auto guest = guest_;
  lock.unlock();
  if (guest) {
    guest->do_waiting();
  }
}

bool line::interrupt() {
  std::unique_lock lock(mutex_);
  if (!guest_) {
    return false;
  }
  const auto verdict = acknowledgement_.interrupt(messages_on());
  const auto storms = limiter_.storms();
  masked_ = true;
  check_due_ = check_due_ || verdict.check;
  if (verdict.unmask) {
    let_through();
  }
  if (limiter_.storms() != storms) {
    log_.write(spdlog::level::warn, "{}: more than {} interrupts a second on line {}: let through with pauses",
               pci::to_string(address_), all_->configuration->line_rate, acknowledgement_.facts().gsi);
  }
  const bool look = verdict.check || masked_;
  unmask(lock);
  return look;
}

bool line::rebinding() const {
  const std::lock_guard lock(mutex_);
  return rebinding_;
}

bool line::enabled() const {
  const std::lock_guard lock(mutex_);
  return acknowledgement_.enabled();
}

void line::describe(messages::function_status& status) const {
  const std::lock_guard lock(mutex_);
  const bool messages = guest_ && messages_on();
  if (guest_) {
    status.line = acknowledgement_.plan(messages).decision;
    status.acknowledging = acknowledgement_.acknowledging(messages);
    status.storm = limiter_.storming(all_->host.time().now());
    status.danger = watch_.danger();
  }
  status.acknowledged = acknowledgement_.handled();
  status.spurious = spurious_ + watch_.spurious();
  status.storms = limiter_.storms();
}

} // namespace actors
