// SPDX-License-Identifier: GPL-2.0-or-later
// The looks at a function's interrupt line: who uses it in dom0, what becomes of it there, and what follows from that.
#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "actors/device/line.hpp"

namespace actors {

using pci::line_decision;

namespace {

using namespace std::chrono_literals;

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
  const bool fresh = std::exchange(fresh_, false);
  if (!guest_ || !has_shareable_line(acknowledgement_.plan().decision)) {
    return {};
  }
  if (!messages_on()) {
    const auto before = acknowledgement_.facts();
    const bool absent = acknowledgement_.plan().decision == line_decision::guest_absent;
    const bool ask_xen = std::exchange(check_due_, false) || absent;
    const auto guests = hardware::guests_on_line(*all_->functions, guest_->whose(), before.gsi);
    lock.unlock(); // interrupts need not wait for files
    auto now = fresh && !ask_xen ? before : facts(before, guests, ask_xen);
    now.guests = guests;
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

} // namespace actors
