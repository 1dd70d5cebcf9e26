// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>

#include "platform/host.hpp"
#include "platform/linux/error_trace.hpp"
#include "platform/linux/function_inventory.hpp"
#include "platform/linux/line_interrupts.hpp"
#include "platform/linux/sleep_watch.hpp"
#include "platform/linux/uevents.hpp"
#include "platform/real/event_loop.hpp"
#include "platform/xen/store.hpp"

namespace platform {

/// Each adds to `loop` what tells `sink` of one source of events. All of them outlive the loop's `stop`.

/// The watches; and `event_sink::lost`, once, at most `heartbeat` after the connection was lost.
[[nodiscard]] pci::result<void> deliver_watches(event_loop& loop, xen::store& store, event_sink& sink,
                                                std::chrono::milliseconds heartbeat);
/// The interrupts of functions that uio_pci_generic holds.
[[nodiscard]] pci::result<void> deliver_lines(event_loop& loop, linux_host::line_interrupts& lines, event_sink& sink);
/// PCI functions that come and go, and the ends of the kernel's own recoveries. What is lost is found by `inventory`.
/// `guards` are to look when a driver is unbound.
[[nodiscard]] pci::result<void> deliver_functions(event_loop& loop, linux_host::uevents& events,
                                                  linux_host::function_inventory& inventory, removal_guards& guards,
                                                  event_sink& sink);
/// Errors that PCI functions report.
[[nodiscard]] pci::result<void> deliver_errors(event_loop& loop, linux_host::error_trace& errors, event_sink& sink);

/// The ends of dom0's sleeps.
[[nodiscard]] pci::result<void> deliver_sleeps(event_loop& loop, linux_host::sleep_watch& watch, event_sink& sink);

} // namespace platform
