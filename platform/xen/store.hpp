// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "platform/descriptor.hpp"
#include "platform/xen/store_connection.hpp"

namespace platform::xen {

/// xenstored through libxenstore, which honours XENSTORED_PATH. A connection that is lost is made again, with its
/// watches, each of which fires then; until that requests fail with ENOTCONN. Only with the xenstored that was there,
/// or one that knows what it knew: one that was started with nothing (ESTALE) has no guest's nodes, which must not be
/// taken for the guests' end. The process must ignore SIGPIPE: libxenstore saves and restores its disposition around
/// each request.
class store final : public platform::store {
public:
  /// ENOENT, ECONNREFUSED: xenstored does not run.
  [[nodiscard]] static result<std::unique_ptr<store>> open(const watch_extensions& library = watch_extensions::found());

  [[nodiscard]] result<std::string> read(const std::string& path) override;
  [[nodiscard]] result<void> write(const std::string& path, std::string_view value) override;
  [[nodiscard]] result<void> make_directory(const std::string& path) override;
  [[nodiscard]] result<void> remove(const std::string& path) override;
  [[nodiscard]] result<std::vector<std::string>> list(const std::string& path) override;
  [[nodiscard]] result<void> set_permissions(const std::string& path, std::span<const node_permission> who) override;
  [[nodiscard]] result<void> transact(const std::function<result<void>(store_operations&)>& body,
                                      unsigned attempts) override;
  /// EEXIST: the token is in use.
  [[nodiscard]] result<void> watch(const std::string& path, const std::string& token,
                                   unsigned depth = any_depth) override;
  /// After this returns no event of the token is delivered, not even one that waited.
  [[nodiscard]] result<void> unwatch(const std::string& path, const std::string& token) override;

  /// Readable while events wait, or while it is time to try to connect again. A connection that is lost while nobody
  /// asks for anything does not make it readable: call `drain_watches` now and then.
  [[nodiscard]] int watch_descriptor() const { return events_.get(); }

  using watch_handler = store_connection::watch_handler;
  /// Hands the events that wait to `deliver`, at most `limit`, without blocking and, while it is connected, without a
  /// request to xenstored. Fails while the connection is lost (ENOTCONN, ESTALE). For one thread at a time; `deliver`
  /// must not call back.
  [[nodiscard]] result<void> drain_watches(const watch_handler& deliver, unsigned limit = 64);

private:
  using connection = std::shared_ptr<store_connection>;
  struct watched {
    std::string path;
    unsigned depth = any_depth;
  };
  store(connection first, platform::descriptor events, platform::descriptor timer, const watch_extensions& library);
  template <class Work>
  auto ask(Work work);
  [[nodiscard]] connection current() const;
  [[nodiscard]] result<void> follow(const store_connection& what) const;
  void lose(const connection& what);
  void try_again_in(std::chrono::milliseconds time) const;
  [[nodiscard]] result<connection> reconnect();
  [[nodiscard]] result<connection> open_again();
  [[nodiscard]] result<void> remember_mark(const store_connection& at);
  void forget(const std::string& token);
  void pass_on(const std::string& path, const std::string& token, const watch_handler& deliver);

  const watch_extensions library_;
  platform::descriptor events_; ///< an epoll of the connection's descriptor and the timer
  platform::descriptor timer_;  ///< when to try again

  std::mutex changing_;               ///< held while watches or the connection change; taken before the other two
  std::string mark_;                  ///< empty: not known yet
  std::chrono::milliseconds pause_{}; ///< before the next attempt

  mutable std::mutex connection_mutex_;
  connection connection_; ///< null: lost

  std::mutex mutex_;                       ///< of what follows; held while an event is delivered
  std::map<std::string, watched> watches_; ///< by token: those that stand
};

} // namespace platform::xen
