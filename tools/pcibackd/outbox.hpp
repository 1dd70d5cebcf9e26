// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "platform/linux/descriptor.hpp"

namespace daemon_program {

/// Answers on their way from any thread to the thread of the control socket, which polls `event`. At most one a
/// connection is under way, since a connection has one request at a time carried out.
class outbox {
public:
  using answer = std::pair<std::uint64_t, std::string>;

  explicit outbox(platform::linux_host::descriptor event) : event_(std::move(event)) {}
  [[nodiscard]] int event() const { return event_.get(); }
  void put(std::uint64_t connection, std::string line);
  [[nodiscard]] std::vector<answer> take();
  void stop();
  [[nodiscard]] bool stopped() const { return stopped_; }

private:
  void wake() const;

  platform::linux_host::descriptor event_;
  std::mutex mutex_;
  std::vector<answer> answers_;
  std::atomic<bool> stopped_ = false;
};

} // namespace daemon_program
