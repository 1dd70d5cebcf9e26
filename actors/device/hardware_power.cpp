// SPDX-License-Identifier: GPL-2.0-or-later
// A function that nobody has, in D3hot.
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "actors/device/hardware.hpp"
#include "pci/config_space/restore.hpp"

namespace actors {
namespace {

// Before the function is touched again: PCI Power Management 1.2, section 5.6.1.
constexpr auto time_to_sleep = std::chrono::milliseconds(10);

} // namespace

// By its register: dom0's kernel lets a function sleep only if its driver asks for that, which no holder does, and it
// leaves such a function on when dom0 itself sleeps.
void hardware::rest() {
  const std::lock_guard lock(binding_mutex_);
  if (leaving_ || rests_ || !pci::may_sleep(description_)) {
    return;
  }
  if (auto slept = pci::put_to_sleep(description_, *port_); !slept) {
    log_.write(spdlog::level::warn, "{} cannot be sent into D3: {}", pci::to_string(description_.address),
               pci::to_string(slept.error()));
    return;
  }
  rests_ = true;
  std::this_thread::sleep_for(time_to_sleep);
}

// Somebody else may have woken it, dom0's kernel by a reset of its neighbour for one: it is restored all the same. What
// of its configuration is lost in D3hot only the register of that bit tells, which guests' cards have been seen to get
// wrong.
pci::result<void> hardware::wake() {
  if (!rests_) {
    return {};
  }
  auto woken = restore();
  stays_asleep_ = !woken;
  if (!woken) {
    return pci::fail(woken.error().error, fmt::format("{} does not come back from D3: {}",
                                                      pci::to_string(description_.address), woken.error().context));
  }
  return {};
}

} // namespace actors
