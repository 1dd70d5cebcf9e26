// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/real/deliveries.hpp"

#include <cerrno>
#include <vector>

namespace platform {

pci::result<void> deliver_watches(event_loop& loop, xen::store& store, event_sink& sink,
                                  std::chrono::milliseconds heartbeat) {
  struct loss {
    bool lost = false;
    bool emptied = false; ///< told that there is another xenstored now, which knows nothing
  };
  const auto drain = [&store, &sink, is = std::make_shared<loss>()] {
    const auto drained =
        store.drain_watches([&sink](const auto& path, const auto& token) { sink.store_changed(path, token); });
    const bool emptied = !drained && drained.error().error == ESTALE;
    if (!drained && (!is->lost || (emptied && !is->emptied)))
      sink.lost("xenstore", pci::to_string(drained.error()));
    else if (drained && is->lost)
      sink.regained("xenstore");
    *is = {!drained, emptied};
    return true;
  };
  return loop.add(store.watch_descriptor(), drain).and_then([&] { return loop.every(heartbeat, drain); });
}

pci::result<void> deliver_lines(event_loop& loop, linux_host::line_interrupts& lines, event_sink& sink) {
  return loop.add(lines.descriptor(), [&lines, &sink, fired = std::vector<pci::sbdf>{}]() mutable {
    fired.clear();
    lines.drain([&fired](const pci::sbdf& address) { fired.push_back(address); });
    sink.line_interrupts(fired);
    return true;
  });
}

namespace {

void deliver_function(const linux_host::uevent& event, removal_guards& guards, event_sink& sink) {
  using action = linux_host::uevent::action;
  if (event.what == action::add)
    sink.function_added(event.address);
  else if (event.what == action::remove)
    sink.function_removed(event.address);
  else if (event.what == action::recovery_ended)
    sink.recovery_ended(event.address);
  else if (event.what == action::unbind) {
    guards.look(event.address);
    sink.driver_unbound(event.address);
  }
}

} // namespace

pci::result<void> deliver_functions(event_loop& loop, linux_host::uevents& events,
                                    linux_host::function_inventory& inventory, removal_guards& guards,
                                    event_sink& sink) {
  return loop.add(events.descriptor(), [&] {
    const auto deliver = [&](const linux_host::uevent& event) {
      inventory.note(event);
      deliver_function(event, guards, sink);
    };
    if (!events.drain(deliver))
      for (const auto& event : inventory.missed())
        deliver_function(event, guards, sink);
    return true;
  });
}

pci::result<void> deliver_errors(event_loop& loop, linux_host::error_trace& errors, event_sink& sink) {
  return loop.add(errors.descriptor(), [&errors, &sink] {
    return errors.drain([&sink](const linux_host::traced_error& error) {
      sink.function_error(error.address, error.severity, error.status);
    });
  });
}

pci::result<void> deliver_sleeps(event_loop& loop, linux_host::sleep_watch& watch, event_sink& sink) {
  return loop.add(watch.descriptor(), [&watch, &sink] {
    if (watch.slept())
      sink.resumed();
    return true;
  });
}

} // namespace platform
