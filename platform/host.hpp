// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "pci/address.hpp"
#include "pci/protocol/aer.hpp"
#include "pci/result.hpp"
#include "platform/clock.hpp"
#include "platform/event_channels.hpp"
#include "platform/grants.hpp"
#include "platform/hypervisor.hpp"
#include "platform/pci_host.hpp"
#include "platform/removal_guards.hpp"
#include "platform/store.hpp"

namespace platform {

/// Who is told of what happens on the host; guests' events excepted, for which each guest's server waits itself (see
/// event_channel). Called from the host's own thread: each call must return at once, do no more than post a message,
/// and not call back into the host.
class event_sink {
public:
  event_sink() = default;
  event_sink(const event_sink&) = delete;
  event_sink& operator=(const event_sink&) = delete;
  virtual ~event_sink() = default;

  /// `path`: what changed; `token`: the watch's.
  virtual void store_changed(const std::string& path, const std::string& token) = 0;
  /// dom0's handlers have claimed interrupts of these functions. Unlike in all others, the host may be called.
  virtual void line_interrupts(std::span<const pci::sbdf> addresses) = 0;
  /// The kernel removed the function (hot-unplug), or it came.
  virtual void function_removed(const pci::sbdf& address) = 0;
  virtual void function_added(const pci::sbdf& address) = 0;
  /// The function reported an error (a bridge does for the link below it); `status`: its decoded name.
  virtual void function_error(const pci::sbdf& /*address*/, pci::error_severity /*severity*/,
                              std::string_view /*status*/) {}
  /// dom0's kernel has ended its own recovery of what is at or below the address: what it resets is reset.
  virtual void recovery_ended(const pci::sbdf& /*address*/) {}
  /// A driver was unbound from the function.
  virtual void driver_unbound([[maybe_unused]] const pci::sbdf& address) {}
  /// The kernel removes the function, and waits before it tells Xen of that until the function's guard is released.
  virtual void removal_waits([[maybe_unused]] const pci::sbdf& address) {}
  /// dom0 was asleep (S3, s2idle): functions may have lost what was in their registers, interrupts too.
  virtual void resumed() {}
  /// The connection to `what` was lost, xenstore for one. Until it is `regained` requests fail, and changes are not
  /// told.
  virtual void lost(std::string_view what, const std::string& reason) = 0;
  /// It is back, with all that was known there; each watch has fired, or is about to.
  virtual void regained(std::string_view /*what*/) {}
};

/// A Xen host as the daemon needs it: the real one (platform/xen with platform/linux) or the simulated one. The parts
/// live as long as the host.
class host {
public:
  host() = default;
  host(const host&) = delete;
  host& operator=(const host&) = delete;
  virtual ~host() = default;

  [[nodiscard]] virtual store& xenstore() = 0;
  [[nodiscard]] virtual event_channels& channels() = 0;
  [[nodiscard]] virtual platform::grants& grant_table() = 0;
  [[nodiscard]] virtual hypervisor& xen() = 0;
  [[nodiscard]] virtual pci_host& pci() = 0;
  [[nodiscard]] virtual line_interrupts& lines() = 0;
  [[nodiscard]] virtual removal_guards& guards() = 0;
  [[nodiscard]] virtual const clock& time() const = 0;

  /// Begins to deliver events to `sink`, which must outlive the host's `stop`.
  [[nodiscard]] virtual pci::result<void> start(event_sink& sink) = 0;
  /// After this returns the sink is not called any more.
  virtual void stop() = 0;
};

} // namespace platform
