// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/device/line.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace actors {
namespace {

using namespace std::chrono_literals;
using pci::line_decision;

// A line that dom0 shares is looked at often enough to see it in danger; of the others only whether they are shared
// now.
constexpr line::duration shared_period = 1s;
constexpr line::duration pressing_period = 100ms;
constexpr line::duration quiet_period = 20s;

/// When the current period ends: so all functions are looked at together, and an idle daemon wakes once.
line::duration end_of(line::duration period, line::duration now) { return now + period - now % period; }

bool has_shareable_line(line_decision decision) {
  return decision != line_decision::no_line && decision != line_decision::edge && decision != line_decision::bridge;
}

std::string_view advice(line_decision decision) {
  switch (decision) {
  case line_decision::switched_off:
    return "; `pcibackctl acknowledge` with \"on\" ends that";
  case line_decision::noirqdebug:
    return "; noirqdebug is set, but since Linux 5.16 it reaches only lines that get their first handler afterwards: "
           "boot dom0 with noirqdebug, load dom0's drivers on the line again, or have line = \"acknowledge\"";
  default:
    return "";
  }
}

} // namespace

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

// -- looking

pci::line_facts line::facts(const pci::line_facts& before, unsigned guests, bool ask_xen) const {
  auto now = all_->host.lines().facts(before.gsi);
  now.bridge = before.bridge;
  now.domains_share = before.domains_share;
  now.guests = guests;
  if (ask_xen) {
    now.domains_share = all_->host.xen().line_shared(before.gsi).value_or(true);
  }
  return now;
}

line::follow_up line::look() {
  std::unique_lock lock(mutex_);
  if (!guest_ || !has_shareable_line(acknowledgement_.plan().decision)) {
    return {};
  }
  if (!messages_on()) {
    const auto before = acknowledgement_.facts();
    const bool absent = acknowledgement_.plan().decision == line_decision::guest_absent;
    const bool ask_xen = std::exchange(check_due_, false) || absent;
    const auto guests = hardware::guests_on_line(*all_->functions, guest_->whose(), before.gsi);
    lock.unlock(); // interrupts need not wait for files
    const auto now = facts(before, guests, ask_xen);
    lock.lock();
    if (!guest_) {
      return {};
    }
    if (acknowledgement_.update(now)) {
      holder_refused_ = false;
      tell_plan();
      follow_policy();
    }
    watch_counts();
    let_through();
  }
  const auto then = next(all_->host.time().now());
  unmask(lock);
  return then;
}

void line::tell_plan() {
  const auto& facts = acknowledgement_.facts();
  log_.write(spdlog::level::info, "{}: interrupt line {}: {}{}{}{}", pci::to_string(address_), facts.gsi,
             pci::to_string(acknowledgement_.plan().decision),
             facts.drivers.empty() ? "" : "; dom0's drivers on it: ", facts.drivers,
             facts.guests > 1 ? fmt::format("; {} guests have functions on it", facts.guests) : "");
}

void line::watch_counts() {
  const auto& facts = acknowledgement_.facts();
  if (facts.dom0_handlers == 0 && !acknowledgement_.handler()) {
    return;
  }
  const auto counts = all_->host.lines().counts(facts.gsi);
  if (!counts || !watch_.sample(*counts)) {
    return;
  }
  if (acknowledgement_.acknowledging(false)) {
    // A guest that serves its function before dom0's handler looks at it leaves the handler nothing to claim. A handler
    // that is installed anew has the kernel count anew, and gives a line that was given up another chance.
    renew_ = true;
    log_.write(spdlog::level::info, "{}: line {}: dom0 claimed none of {} interrupts, as the guest was faster: renewed",
               pci::to_string(address_), facts.gsi, counts->unhandled);
    return;
  }
  if (facts.dom0_handlers == 0) {
    return; // the line is the guests' alone: dom0 loses nothing with it
  }
  if (watch_.danger() == pci::line_danger::given_up) {
    danger_log_.write(
        spdlog::level::critical,
        "line {}: dom0's kernel has given it up (\"nobody cared\"): dom0's {} gets no interrupts any more", facts.gsi,
        facts.drivers);
    return;
  }
  danger_log_.write(
      spdlog::level::err,
      "line {}: dom0 claims hardly any of its interrupts, {} in a row by now; at {} dom0's {} loses the line{}",
      facts.gsi, counts->unhandled, pci::spurious_watch::tolerated, facts.drivers,
      advice(acknowledgement_.plan().decision));
}

line::follow_up line::next(duration now) {
  follow_up then;
  if (rebinding_) {
    return then; // `rebound` comes, and a look after it
  }
  const bool messages = messages_on();
  const auto plan = acknowledgement_.plan(messages);
  if (plan.handler != acknowledgement_.handler() && !holder_refused_) {
    then.rebind = plan.handler ? platform::holder::uio : platform::holder::stub;
    rebinding_ = true;
    return then;
  }
  if (std::exchange(renew_, false) && acknowledgement_.handler()) {
    then.rebind = platform::holder::stub; // the look after that finds that the handler is wanted
    rebinding_ = true;
    return then;
  }
  const bool used = acknowledgement_.facts().dom0_handlers != 0 || acknowledgement_.handler();
  const bool shared = used && !messages;
  then.look_again = end_of(!shared ? quiet_period : watch_.pressing() ? pressing_period : shared_period, now);
  if (const auto pause = limiter_.left(now); masked_ && pause > duration{0}) {
    then.look_again = std::min(*then.look_again, now + pause);
  }
  return then;
}

void line::rebound(const pci::result<void>& done) {
  std::unique_lock lock(mutex_);
  rebinding_ = false;
  if (!guest_) {
    return;
  }
  if (!done) {
    holder_refused_ = true;
    log_.write(spdlog::level::warn, "{}: line {}: {}", pci::to_string(address_), acknowledgement_.facts().gsi,
               pci::to_string(done.error()));
    return;
  }
  if (guest_->has_handler()) {
    listen();
  } else {
    all_->host.lines().ignore(address_);
    acknowledgement_.set_handler(false);
  }
  // The kernel counts anew when a handler comes or goes, and between its coming and its being listened to it may have
  // masked INTx.
  spurious_ += std::exchange(watch_, {}).spurious();
  masked_ = true;
  let_through();
  unmask(lock);
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
