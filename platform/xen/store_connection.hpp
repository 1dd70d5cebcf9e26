// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "platform/store.hpp"

struct xs_handle;

namespace platform::xen {

/// What libxenstore can do since Xen 4.22. Looked up in the library that the program runs with, so that one that was
/// built with an older library uses it too; null where the library has none.
struct watch_extensions {
  bool (*features)(xs_handle*, unsigned* features) = nullptr; ///< xs_get_features_supported
  bool (*watch)(xs_handle*, const char* path, const char* token, unsigned depth) = nullptr; ///< xs_watch_depth

  [[nodiscard]] static watch_extensions found();
  /// Whether library and xenstored both can limit a watch's depth.
  [[nodiscard]] bool limit_depth(xs_handle* connection) const;
};

/// What libxenstore's errno says of a failed request: xenstored's own answers are others.
[[nodiscard]] bool is_lost_connection(int error);

/// Two connections to xenstored: one for requests, one for watches, because the first watch of a connection moves its
/// replies to a thread and makes every request half as slow again.
class store_connection {
public:
  /// ENOENT, ECONNREFUSED: xenstored does not run.
  [[nodiscard]] static result<std::shared_ptr<store_connection>> open(const watch_extensions& library);

  [[nodiscard]] xs_handle* requests() const { return requests_.get(); }
  [[nodiscard]] result<void> watch(const std::string& path, const std::string& token, unsigned depth) const;
  [[nodiscard]] result<void> unwatch(const std::string& path, const std::string& token) const;
  /// Readable while events wait. A lost connection does not make it readable.
  [[nodiscard]] int watch_descriptor() const { return watch_descriptor_; }
  using watch_handler = std::function<void(const std::string& path, const std::string& token)>;
  /// Hands on one event that waits. EAGAIN: there is none. ENOTCONN: the connection is lost; that is seen from the
  /// first `watch` on.
  [[nodiscard]] result<void> next_event(const watch_handler& deliver) const;

private:
  struct close {
    void operator()(xs_handle* connection) const;
  };
  using handle = std::unique_ptr<xs_handle, close>;
  store_connection(handle requests, handle watches, int watch_descriptor, const watch_extensions& library);

  handle requests_;
  handle watches_;
  int watch_descriptor_;
  watch_extensions library_; ///< its members are null where xenstored cannot do it
};

/// The operations on one connection, inside the transaction `id` (0: outside any).
class connection_operations final : public store_operations {
public:
  connection_operations(xs_handle* connection, std::uint32_t id) : connection_(connection), id_(id) {}

  [[nodiscard]] result<std::string> read(const std::string& path) override;
  [[nodiscard]] result<void> write(const std::string& path, std::string_view value) override;
  [[nodiscard]] result<void> make_directory(const std::string& path) override;
  [[nodiscard]] result<void> remove(const std::string& path) override;
  [[nodiscard]] result<std::vector<std::string>> list(const std::string& path) override;
  [[nodiscard]] result<void> set_permissions(const std::string& path, std::span<const node_permission> who) override;
  /// See platform::store.
  [[nodiscard]] result<void> transact(const std::function<result<void>(store_operations&)>& body, unsigned attempts);

private:
  xs_handle* connection_;
  std::uint32_t id_;
};

} // namespace platform::xen
