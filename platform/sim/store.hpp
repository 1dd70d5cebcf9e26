// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "platform/sim/store_tree.hpp"
#include "platform/store.hpp"

namespace platform::sim {

class xenstored;

/// xenstore as one domain sees it. Domain 0 may do everything.
class domain_store final : public platform::store {
public:
  domain_store(xenstored& daemon, domain_id domain) : daemon_(&daemon), domain_(domain) {}

  result<std::string> read(const std::string& path) override;
  result<void> write(const std::string& path, std::string_view value) override;
  result<void> make_directory(const std::string& path) override;
  result<void> remove(const std::string& path) override;
  result<std::vector<std::string>> list(const std::string& path) override;
  result<void> set_permissions(const std::string& path, std::span<const node_permission> who) override;
  result<void> transact(const std::function<result<void>(store_operations&)>& body, unsigned attempts) override;
  result<void> watch(const std::string& path, const std::string& token, unsigned depth = any_depth) override;
  result<void> unwatch(const std::string& path, const std::string& token) override;

private:
  friend class xenstored;
  xenstored* daemon_;
  domain_id domain_;
};

/// A simulated xenstored: a tree with permissions, transactions that fail when what they saw has changed, watches and
/// quotas. Thread-safe. Watch events are told with the lock held, in the order of the changes.
class xenstored {
public:
  /// A node's path and the watch's token.
  using listener = std::function<void(const std::string& path, const std::string& token)>;
  static constexpr std::size_t watches_per_domain = 128; ///< quota_nb_watch_per_domain

  xenstored();
  [[nodiscard]] platform::store& for_domain(domain_id domain);
  /// dom0's toolstack, which has connections of its own.
  [[nodiscard]] platform::store& for_toolstack() { return toolstack_; }
  /// Who is told of the domain's watches. The listener must not call back.
  void set_listener(domain_id domain, listener told);

  /// Fires @introduceDomain or @releaseDomain; without a domain, as a watch does when it is registered.
  void fire_special(const std::string& name, std::optional<domain_id> domain = std::nullopt);
  /// From now on watches may have a depth, as since Xen 4.22. Until then it is not heeded.
  void offer_depth() { depth_offered_ = true; }
  /// Removes every node that the domain owns, as xenstored does when it is gone.
  void release_domain(domain_id domain);
  void drop_watches(domain_id domain);

  /// The next operations of the domain, after `skip` more, fail with `error`, `count` times. EAGAIN at a transaction's
  /// end counts as an operation.
  void fail_next(domain_id domain, int error, unsigned count = 1, unsigned skip = 0);
  /// From now on every operation of every domain fails with EBADF, as when the daemon has died.
  void lose();
  /// The domain's connection breaks: its operations fail with ENOTCONN, and its watches tell nothing, until it is back;
  /// then each of them fires.
  void disconnect(domain_id domain);
  void reconnect(domain_id domain);

  /// For tests: how many nodes a domain owns, and all operations so far.
  [[nodiscard]] unsigned owned(domain_id domain) const;
  [[nodiscard]] std::uint64_t operations() const;
  /// The whole tree as "path = value" lines.
  [[nodiscard]] std::string print() const;

private:
  friend class domain_store;
  friend class transaction_view;
  struct watch_entry {
    domain_id domain;
    std::string path;
    std::string token;
    unsigned depth;
  };
  struct injected {
    int error;
    unsigned count;
    unsigned skip;
  };

  [[nodiscard]] result<void> admit(const domain_store& whose, const std::string& what);
  [[nodiscard]] result<void> change(const domain_store& whose, const std::string& path, const store_tree::edit& edit);
  [[nodiscard]] result<void> commit(const domain_store& whose, const store_tree& seen,
                                    const store_tree::access_log& log);
  void fire(const store_tree& before, const std::string& path, bool removed);
  void tell(const watch_entry& watch, const std::string& path);
  [[nodiscard]] result<void> add_watch(const domain_store& whose, const std::string& path, const std::string& token,
                                       unsigned depth);

  mutable std::mutex mutex_;
  store_tree tree_;
  std::map<domain_id, std::unique_ptr<domain_store>> views_;
  std::map<domain_id, listener> listeners_;
  domain_store toolstack_{*this, 0};
  std::set<const domain_store*> disconnected_;
  std::map<domain_id, injected> failures_;
  std::vector<watch_entry> watches_;
  std::uint64_t operations_ = 0;
  bool lost_ = false;
  std::atomic<bool> depth_offered_ = false;
};

} // namespace platform::sim
