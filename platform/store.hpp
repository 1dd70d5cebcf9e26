// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pci/result.hpp"

namespace platform {

using pci::failure;
using pci::result;

/// Who may do what with a node. Source: xenstore.h, struct xs_permissions; the first entry is the owner.
struct node_permission {
  std::uint16_t domid = 0;
  bool read = false;
  bool write = false;
};

/// The operations of xenstore, outside a transaction or inside one. Paths are absolute. Every call may block for as
/// long as xenstored takes: never call it from a scheduled actor.
class store_operations {
public:
  store_operations() = default;
  store_operations(const store_operations&) = delete;
  store_operations& operator=(const store_operations&) = delete;
  virtual ~store_operations() = default;

  /// ENOENT: no such node. EACCES: not allowed.
  [[nodiscard]] virtual result<std::string> read(const std::string& path) = 0;
  [[nodiscard]] virtual result<void> write(const std::string& path, std::string_view value) = 0;
  [[nodiscard]] virtual result<void> make_directory(const std::string& path) = 0;
  /// Removing what is not there is success.
  [[nodiscard]] virtual result<void> remove(const std::string& path) = 0;
  [[nodiscard]] virtual result<std::vector<std::string>> list(const std::string& path) = 0;
  [[nodiscard]] virtual result<void> set_permissions(const std::string& path, std::span<const node_permission> who) = 0;
};

/// xenstore. Watch events go to the `event_sink` that the host was started with.
class store : public store_operations {
public:
  /// Runs `body` in a transaction and commits it; runs it again when somebody else's write got in between (at most
  /// `attempts` times, then EAGAIN). A failure from `body` aborts the transaction and is returned.
  [[nodiscard]] virtual result<void> transact(const std::function<result<void>(store_operations&)>& body,
                                              unsigned attempts = 16) = 0;
  static constexpr unsigned any_depth = ~0U;
  /// Fires once at once, then for every change at `path` or at most `depth` levels below it; a xenstored that cannot
  /// limit it, as before Xen 4.22, fires for all below. One that can, and is given a depth of 1 for @releaseDomain,
  /// tells of which domain by a path such as `@releaseDomain/7`. `token` is unique in the process.
  [[nodiscard]] virtual result<void> watch(const std::string& path, const std::string& token,
                                           unsigned depth = any_depth) = 0;
  [[nodiscard]] virtual result<void> unwatch(const std::string& path, const std::string& token) = 0;
};

} // namespace platform
