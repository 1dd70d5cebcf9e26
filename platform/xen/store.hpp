// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "platform/store.hpp"

struct xs_handle;

namespace platform::xen {

/// The operations on one connection, inside the transaction `id` (0: outside any).
template <class Interface>
class connection_operations : public Interface {
public:
  connection_operations(xs_handle* connection, std::uint32_t id) : connection_(connection), id_(id) {}

  [[nodiscard]] result<std::string> read(const std::string& path) override;
  [[nodiscard]] result<void> write(const std::string& path, std::string_view value) override;
  [[nodiscard]] result<void> make_directory(const std::string& path) override;
  [[nodiscard]] result<void> remove(const std::string& path) override;
  [[nodiscard]] result<std::vector<std::string>> list(const std::string& path) override;
  [[nodiscard]] result<void> set_permissions(const std::string& path, std::span<const node_permission> who) override;

protected:
  xs_handle* connection_;
  std::uint32_t id_;
};

/// What libxenstore can do since Xen 4.22. Looked up in the library that the program runs with, so that one that was
/// built with an older library uses it too; null where the library has none.
struct watch_extensions {
  bool (*features)(xs_handle*, unsigned* features) = nullptr; ///< xs_get_features_supported
  bool (*watch)(xs_handle*, const char* path, const char* token, unsigned depth) = nullptr; ///< xs_watch_depth

  [[nodiscard]] static watch_extensions found();
  /// Whether library and xenstored both can limit a watch's depth.
  [[nodiscard]] bool limit_depth(xs_handle* connection) const;
};

/// xenstored through libxenstore, which honours XENSTORED_PATH. Two connections: one for requests, one for watches,
/// because the first watch of a connection moves its replies to a thread and makes every request half as slow again.
/// The process must ignore SIGPIPE: libxenstore saves and restores its disposition around each request.
class store final : public connection_operations<platform::store> {
public:
  /// ENOENT, ECONNREFUSED: xenstored does not run.
  [[nodiscard]] static result<std::unique_ptr<store>> open(const watch_extensions& library = watch_extensions::found());

  [[nodiscard]] result<void> transact(const std::function<result<void>(store_operations&)>& body,
                                      unsigned attempts) override;
  /// EEXIST: the token is in use.
  [[nodiscard]] result<void> watch(const std::string& path, const std::string& token,
                                   unsigned depth = any_depth) override;
  /// After this returns no event of the token is delivered, not even one that waited.
  [[nodiscard]] result<void> unwatch(const std::string& path, const std::string& token) override;

  /// Readable while events wait. A lost connection does not make it readable: call `drain_watches` now and then.
  [[nodiscard]] int watch_descriptor() const { return watch_descriptor_; }

  using watch_handler = std::function<void(const std::string& path, const std::string& token)>;
  /// Hands the events that wait to `deliver`, at most `limit`, without blocking and without a request to xenstored.
  /// Fails (ENOTCONN) when the connection is lost; that is seen from the first `watch` on. For one thread at a time;
  /// `deliver` must not call back.
  [[nodiscard]] result<void> drain_watches(const watch_handler& deliver, unsigned limit = 64);

private:
  struct close {
    void operator()(xs_handle* connection) const;
  };
  using handle = std::unique_ptr<xs_handle, close>;
  store(handle requests, handle watches, int watch_descriptor, const watch_extensions& library);
  void forget(const std::string& token);
  void pass_on(char** event, const watch_handler& deliver);

  handle requests_;
  handle watches_;
  int watch_descriptor_;
  watch_extensions library_;     ///< its members are null where xenstored cannot do it
  std::mutex mutex_;             ///< of what follows; held while an event is delivered
  std::set<std::string> tokens_; ///< of the watches that stand
};

} // namespace platform::xen
