// SPDX-License-Identifier: GPL-2.0-or-later
// What a simulated guest does when its drivers are bound: hot-plug, errors, and bad manners.
#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"
#include "pci/protocol/aer.hpp"
#include "tools/pcibackd/guest_life.hpp"

namespace daemon_program {
namespace {

using namespace std::chrono_literals;

constexpr auto unwoken_look = 1s;
constexpr auto flood_pause = 200us;
constexpr auto hostile_pause = 20ms;
constexpr unsigned kicks_of_a_flood = 50;

} // namespace

void guest_life::serve() {
  // A device directory that comes later wakes the guest as its xenbus would.
  static_cast<void>(
      host_->store_daemon().for_domain(domain_).watch(fmt::format("/local/domain/{}/device", domain_), "devices"));
  if (what_->habit == config::guest_habit::silent) {
    front_.withhold(true);
  }
  while (!ends()) {
    const auto now = guest_orders::clock::now();
    if (const auto until = orders_->stalled_until.load(); now < until) {
      rest(until - now);
    } else if (now < orders_->flooding_until.load()) {
      flood();
    } else if (what_->habit == config::guest_habit::hostile && connected_) {
      be_hostile();
    } else {
      look_around();
    }
  }
}

/// As much as a guest sleeps: until its bell rings, or for a second.
void guest_life::look_around() {
  const auto stalls = [this] {
    const auto now = guest_orders::clock::now();
    return now < orders_->stalled_until.load() || now < orders_->flooding_until.load();
  };
  if (what_->habit == config::guest_habit::slow) {
    rest(what_->slowness);
  }
  static_cast<void>(front_.service());
  look_for_devices();
  forget_lost_functions();
  if (const auto bound = bind_drivers(); !bound) {
    say_("a driver failed: " + pci::to_string(bound.error()));
    rest(unwoken_look);
  }
  const auto seen = front_.backend_state();
  const auto error_waits = [this] { return (front_.flags() & pci::wire::backend_active) != 0; };
  const bool deaf = what_->habit == config::guest_habit::silent;
  const bool answers = !deaf && connected_ && front_.kind() == platform::sim::flavour::linux;
  static_cast<void>(wait_.wait_until(
      [&] {
        return ends() || stalls() || front_.backend_state() != seen || (answers && error_waits()) ||
               (!deaf && !connected_ && host_->xenstore().read(platform::sim::frontend_path(domain_) + "/backend"));
      },
      unwoken_look));
}

/// A guest that had no function, or none any more, probes the device that its toolstack makes.
void guest_life::look_for_devices() {
  if (front_.unplugged()) {
    connected_ = false;
  }
  if (connected_ || what_->habit == config::guest_habit::silent ||
      !host_->xenstore().read(platform::sim::frontend_path(domain_) + "/backend")) {
    return;
  }
  functions_.clear();
  if (const auto done = front_.connect(); done) {
    connected_ = true;
  } else if (!ends()) {
    if (done.error().error != ENODEV) { // the device of its last connection, which is not gone yet
      say_("does not connect: " + pci::to_string(done.error()));
    }
    rest(unwoken_look);
  }
}

void guest_life::forget_lost_functions() {
  const auto lost = [this](const bound_function& one) {
    if (front_.find(one.seen) != nullptr) {
      return false;
    }
    say_(fmt::format("{} is gone", pci::to_string(one.seen)));
    return true;
  };
  std::erase_if(functions_, lost);
}

/// What e1000e and nvme answer: the function is stopped, reset where it has to be, and goes on.
std::optional<std::int32_t> guest_life::recover(const pci::wire::aer_operation& request) {
  using pci::recovery_result;
  const auto answer = [](recovery_result result) { return static_cast<std::int32_t>(result); };
  switch (static_cast<pci::op_code>(request.cmd)) {
  case pci::op_code::aer_detected:
    say_("an error was detected");
    return answer(recovery_result::need_reset);
  case pci::op_code::aer_mmio:
  case pci::op_code::aer_slotreset:
    return answer(recovery_result::recovered);
  case pci::op_code::aer_resume:
    say_("has recovered from the error");
    return answer(recovery_result::recovered);
  default:
    return answer(recovery_result::none);
  }
}

/// Events for nothing, and the same register again and again.
void guest_life::flood() {
  if (!connected_) {
    rest(unwoken_look);
    return;
  }
  for (unsigned count = 0; count < kicks_of_a_flood; ++count) {
    front_.kick();
  }
  if (!functions_.empty()) {
    static_cast<void>(front_.read(functions_.front().seen, pci::reg::vendor_id, 4));
  }
  rest(flood_pause);
}

/// Any operation on anything, flags that are the backend's, nodes that nobody can read. Not its state, which would only
/// end its connection.
void guest_life::be_hostile() {
  const auto some = [this](std::uint32_t most) { return static_cast<std::uint32_t>(chance_()) % (most + 1); };
  pci::wire::operation what{};
  what.cmd = some(12);
  what.domain = some(1);
  what.bus = some(1);
  what.devfn = some(300);
  what.offset = static_cast<std::int32_t>(some(0x1100)) - 0x80;
  what.size = static_cast<std::int32_t>(some(5));
  what.value = static_cast<std::uint32_t>(chance_());
  front_.post(what);
  front_.kick();
  if (some(3) == 0) {
    front_.set_flags(static_cast<std::uint32_t>(chance_()));
    front_.kick();
  }
  if (some(9) == 0) {
    static_cast<void>(front_.write_node("magic", std::string(some(40), '\xff')));
    static_cast<void>(front_.service()); // or nobody could take its functions from it but by force
    look_for_devices();
  }
  rest(hostile_pause);
}

} // namespace daemon_program
