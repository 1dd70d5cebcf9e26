// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "platform/store.hpp"

namespace actors {

/// Operations that remember the first read that failed for another reason than that there is no such node: who reads
/// many nodes, and takes what is not there for empty, must not take a lost connection or a xenstored without memory for
/// that.
template <class Interface>
class noting_operations : public Interface {
public:
  noting_operations(Interface& inside, std::optional<pci::failure>& failure) : inside_(inside), failure_(failure) {}

  pci::result<std::string> read(const std::string& path) override { return note(inside_.read(path)); }
  pci::result<std::vector<std::string>> list(const std::string& path) override { return note(inside_.list(path)); }
  pci::result<void> write(const std::string& path, std::string_view value) override {
    return inside_.write(path, value);
  }
  pci::result<void> make_directory(const std::string& path) override { return inside_.make_directory(path); }
  pci::result<void> remove(const std::string& path) override { return inside_.remove(path); }
  pci::result<void> set_permissions(const std::string& path, std::span<const platform::node_permission> who) override {
    return inside_.set_permissions(path, who);
  }

protected:
  template <class T>
  pci::result<T> note(pci::result<T> done) {
    if (!done && done.error().error != ENOENT && !failure_) {
      failure_ = done.error();
    }
    return done;
  }
  Interface& inside_;
  std::optional<pci::failure>& failure_;
};

class noting_store final : public noting_operations<platform::store> {
public:
  using noting_operations::noting_operations;
  /// Aborted when a read inside has failed.
  pci::result<void> transact(const std::function<pci::result<void>(platform::store_operations&)>& body,
                             unsigned attempts) override {
    return inside_.transact(
        [&](platform::store_operations& within) -> pci::result<void> {
          std::optional<pci::failure> failure;
          noting_operations<platform::store_operations> noting(within, failure);
          auto done = body(noting);
          return failure ? tl::unexpected(std::move(*failure)) : std::move(done);
        },
        attempts);
  }
  pci::result<void> watch(const std::string& path, const std::string& token, unsigned depth) override {
    return inside_.watch(path, token, depth);
  }
  pci::result<void> unwatch(const std::string& path, const std::string& token) override {
    return inside_.unwatch(path, token);
  }
};

/// What `work` comes to, unless a read of its failed for another reason than that there is no such node: then that
/// failure. `work` takes a platform::store& and returns a pci::result.
template <class Work>
auto with_sure_reads(platform::store& store, Work work) -> decltype(work(store)) {
  std::optional<pci::failure> failure;
  noting_store noting(store, failure);
  auto done = work(noting);
  return failure ? decltype(done)(tl::unexpected(std::move(*failure))) : std::move(done);
}

/// A transaction likewise.
inline pci::result<void> transact_surely(platform::store& store,
                                         const std::function<pci::result<void>(platform::store_operations&)>& body) {
  return with_sure_reads(store, [&](platform::store& sure) { return sure.transact(body); });
}

} // namespace actors
