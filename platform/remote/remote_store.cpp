// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/remote/remote_parts.hpp"

namespace platform::remote {
namespace {

/// Inside a transaction: one link for all.
class inside_transaction final : public store_operations {
public:
  explicit inside_transaction(const link& over) : over_(over) {}
  result<std::string> read(const std::string& path) override { return over_.ask<of::read_node>(path); }
  result<void> write(const std::string& path, std::string_view value) override {
    return over_.ask<of::write_node>(path, std::string(value));
  }
  result<void> make_directory(const std::string& path) override { return over_.ask<of::make_directory>(path); }
  result<void> remove(const std::string& path) override { return over_.ask<of::remove_node>(path); }
  result<std::vector<std::string>> list(const std::string& path) override { return over_.ask<of::list_nodes>(path); }
  result<void> set_permissions(const std::string& path, std::span<const node_permission> who) override {
    return over_.ask<of::set_permissions>(path, std::vector<node_permission>(who.begin(), who.end()));
  }

private:
  const link& over_;
};

} // namespace

result<std::string> remote_store::read(const std::string& path) { return all_.ask<of::read_node>(path); }
result<void> remote_store::write(const std::string& path, std::string_view value) {
  return all_.ask<of::write_node>(path, std::string(value));
}
result<void> remote_store::make_directory(const std::string& path) { return all_.ask<of::make_directory>(path); }
result<void> remote_store::remove(const std::string& path) { return all_.ask<of::remove_node>(path); }
result<std::vector<std::string>> remote_store::list(const std::string& path) { return all_.ask<of::list_nodes>(path); }
result<void> remote_store::set_permissions(const std::string& path, std::span<const node_permission> who) {
  return all_.ask<of::set_permissions>(path, std::vector<node_permission>(who.begin(), who.end()));
}

result<void> remote_store::transact(const std::function<result<void>(store_operations&)>& body, unsigned attempts) {
  return all_.with([&](const link& one) {
    inside_transaction inside{one};
    return one.transact([&] { return body(inside); }, attempts);
  });
}

// Before it is asked for, as the first event comes at once.
result<void> remote_store::watch(const std::string& path, const std::string& token, unsigned depth) {
  {
    const std::lock_guard lock(mutex_);
    tokens_.insert(token);
  }
  auto done = all_.ask<of::watch>(path, token, depth);
  if (!done && done.error().error != EEXIST) {
    const std::lock_guard lock(mutex_);
    tokens_.erase(token);
  }
  return done;
}

result<void> remote_store::unwatch(const std::string& path, const std::string& token) {
  {
    const std::lock_guard lock(mutex_);
    tokens_.erase(token);
  }
  return all_.ask<of::unwatch>(path, token);
}

bool remote_store::is_watched(const std::string& token) const {
  const std::lock_guard lock(mutex_);
  return tokens_.contains(token);
}

} // namespace platform::remote
