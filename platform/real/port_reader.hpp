#pragma once

#include <atomic>
#include <thread>

#include "platform/host.hpp"
#include "platform/xen/event_channels.hpp"

namespace platform {

/// The thread that waits for guests' events. It has nothing else to wait for, so it blocks in the read itself: one
/// system call an event less than with epoll, which a guest's access to configuration space feels.
class port_reader {
public:
  port_reader(xen::event_channels& channels, event_sink& sink) : channels_(channels), sink_(sink) {}
  port_reader(const port_reader&) = delete;
  port_reader& operator=(const port_reader&) = delete;
  ~port_reader() { stop(); }

  /// EAGAIN: no thread could be made.
  [[nodiscard]] pci::result<void> start();
  /// After this returns the sink is not called any more.
  void stop();

private:
  void run();

  xen::event_channels& channels_;
  event_sink& sink_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

} // namespace platform
