// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "pci/result.hpp"
#include "platform/descriptor.hpp"

namespace platform {

/// One thread that waits for descriptors and calls a handler for each that is readable. It sleeps while nothing
/// happens, and allocates nothing once it runs.
class event_loop {
public:
  /// Returns false when its descriptor is of no use any more: it is not waited for from then on.
  using handler = std::function<bool()>;

  [[nodiscard]] static pci::result<std::unique_ptr<event_loop>> open();
  event_loop(const event_loop&) = delete;
  event_loop& operator=(const event_loop&) = delete;
  ~event_loop() { stop(); }

  /// Before `start`. The descriptor stays its owner's, and open until `stop`.
  [[nodiscard]] pci::result<void> add(int descriptor, handler ready);
  /// Before `start`. Calls `due` each time that `interval` (above 0) has passed.
  [[nodiscard]] pci::result<void> every(std::chrono::milliseconds interval, handler due);

  /// Begins to call the handlers, each from the loop's thread. EAGAIN: no thread could be made.
  [[nodiscard]] pci::result<void> start();
  /// After this returns no handler is called any more. Not from a handler.
  void stop();

private:
  struct source {
    int descriptor = -1;
    handler ready;
  };
  event_loop(platform::descriptor epoll, platform::descriptor stop)
      : epoll_(std::move(epoll)), stop_(std::move(stop)) {}
  void run();
  /// Returns false when the loop is to end.
  [[nodiscard]] bool serve(std::size_t index);

  platform::descriptor epoll_;
  platform::descriptor stop_; ///< an eventfd
  std::vector<platform::descriptor> timers_;
  std::vector<source> sources_; ///< by the number that epoll gives back
  std::thread thread_;
};

} // namespace platform
