// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "platform/descriptor.hpp"

namespace daemon_program {

/// What happened since it was taken last.
struct outbox_news {
  std::vector<std::string> lines;
  std::uint64_t lost = 0; ///< after these
};

/// Answers on their way from any thread to the thread of the control socket, which polls `event`. At most one a
/// connection is under way, since a connection has one request at a time carried out. And what happens, for the
/// connections that watch: as much of it as is kept, and how much was not.
class outbox {
public:
  struct answer {
    std::uint64_t connection;
    std::string line;
    bool watches; ///< from now on
  };
  static constexpr std::size_t most_news = 1024; ///< lines that the socket's thread has not taken yet

  explicit outbox(platform::descriptor event) : event_(std::move(event)) {}
  [[nodiscard]] int event() const { return event_.get(); }
  void put(std::uint64_t connection, std::string line, bool watches = false);
  /// To all connections that watch. Never waits: what is too much is lost, and counted.
  void tell(std::string line);
  /// Whether there are any: without, nothing needs to be told.
  [[nodiscard]] bool watched() const { return watched_; }
  [[nodiscard]] outbox_news take_news();
  /// So many connections watch.
  void set_watchers(std::size_t count);
  [[nodiscard]] std::vector<answer> take();
  void stop();
  [[nodiscard]] bool stopped() const { return stopped_; }

private:
  void wake() const;

  platform::descriptor event_;
  std::mutex mutex_;
  std::vector<answer> answers_;
  outbox_news news_;
  std::atomic<bool> watched_ = false;
  std::atomic<bool> stopped_ = false;
};

} // namespace daemon_program
