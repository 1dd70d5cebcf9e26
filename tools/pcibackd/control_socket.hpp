// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <unistd.h>

#include "pci/result.hpp"
#include "platform/descriptor.hpp"

namespace daemon_program {

struct outbox_news;
/// Answers on their way from any thread to the thread of the control socket.
class outbox;

/// The daemon's Unix socket for its administrator, served by one thread with poll. A connection sends requests, one a
/// line, and has one at a time carried out; what it sends meanwhile waits in the kernel's buffers, so that neither the
/// number of requests nor their size can grow the daemon.
class control_socket {
public:
  static constexpr std::size_t most_connections = 16;
  static constexpr std::size_t longest_line = std::size_t{64} * 1024; ///< without its end; longer: refused and closed
  static constexpr std::size_t most_unsent = std::size_t{4} * 1024 * 1024; ///< a client that reads nothing is closed

  static constexpr std::size_t most_unsent_news = std::size_t{256} * 1024; ///< for one connection
  static constexpr auto watchers_patience = std::chrono::seconds(30);

  using request_handler = std::function<void(std::uint64_t connection, std::string line)>;
  using answer_sink = std::function<void(std::uint64_t connection, std::string line)>;

  /// Makes the socket, mode 0600, and its directory, 0755, if it is missing. A socket that is there is replaced when
  /// nobody listens on it. EADDRINUSE: a daemon does.
  [[nodiscard]] static pci::result<std::unique_ptr<control_socket>> listen(const std::string& path);
  control_socket(const control_socket&) = delete;
  control_socket& operator=(const control_socket&) = delete;
  /// Closes all connections and removes the socket's file.
  ~control_socket();

  /// Where answers go: one for each request, empty for none. Safe from any thread, also after the socket's end.
  [[nodiscard]] answer_sink sink() const;
  /// The same, and the connection is told from then on of what happens: the lines that are given to `teller`.
  [[nodiscard]] answer_sink watch() const;
  /// Where lines go that are for all connections that watch; `wanted` says whether there are any. A connection that
  /// does not read loses what there is no room for, and is told how many lines that were; after `watchers_patience` it
  /// is closed. Never waits. Safe from any thread, also after the socket's end.
  struct teller {
    std::function<bool()> wanted;
    std::function<void(std::string line)> tell;
  };
  [[nodiscard]] teller news() const;
  /// Ends `serve` from any thread.
  [[nodiscard]] std::function<void()> stopper() const;

  /// Serves until a stopper is called or `signals` (a signalfd) is readable, and it is none that `on_hangup` takes,
  /// which is SIGHUP. Returns the number of the signal, or 0.
  [[nodiscard]] pci::result<int> serve(int signals, const request_handler& handler,
                                       const std::function<void()>& on_hangup = {});

private:
  struct connection {
    platform::descriptor socket;
    std::string received; ///< not yet a whole line, or waiting for the answer before it
    std::string unsent;
    bool busy = false;       ///< a request is being carried out
    bool ended = false;      ///< the peer sends no more
    bool last_words = false; ///< closed when `unsent` is sent
    bool watches = false;
    std::uint64_t lost = 0;                                          ///< lines, since it was told so
    std::optional<std::chrono::steady_clock::time_point> full_since; ///< there was no room, and still is none
  };
  using connections = std::map<std::uint64_t, connection>;

  control_socket(std::string path, platform::descriptor listener, std::shared_ptr<outbox> answers);
  void accept();
  [[nodiscard]] bool may_connect(int socket) const;
  void deliver(const request_handler& handler);
  void deliver_news();
  /// False: it has not read for too long.
  [[nodiscard]] static bool tell(connection& peer, const outbox_news& what);
  static void tell_of_loss(connection& peer);
  /// False: the connection is finished.
  [[nodiscard]] bool receive(connection& peer) const;
  [[nodiscard]] bool send(connection& peer) const;
  [[nodiscard]] bool hand_on(std::uint64_t number, connection& peer, const request_handler& handler) const;
  [[nodiscard]] bool advance(std::uint64_t number, connection& peer, short events,
                             const request_handler& handler) const;
  [[nodiscard]] static short interest(const connection& peer);

  std::string path_;
  const uid_t owner_ = ::geteuid(); ///< who listened, whatever user the process becomes
  platform::descriptor listener_;
  std::shared_ptr<outbox> answers_;
  connections connections_;
  std::uint64_t next_ = 1;
};

} // namespace daemon_program
