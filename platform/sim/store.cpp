// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/store.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

namespace platform::sim {

/// The operations inside a transaction: on a copy of the tree, with everything that was looked at remembered.
class transaction_view final : public store_operations {
public:
  transaction_view(xenstored& daemon, domain_id domain, const domain_store& whose, store_tree tree)
      : daemon_(&daemon), domain_(domain), whose_(&whose), tree_(std::move(tree)) {}

  result<std::string> read(const std::string& path) override {
    if (auto admitted = enter(path); !admitted)
      return tl::unexpected(admitted.error());
    return tree_.read(domain_, path);
  }
  result<std::vector<std::string>> list(const std::string& path) override {
    if (auto admitted = enter(path); !admitted)
      return tl::unexpected(admitted.error());
    return tree_.list(domain_, path);
  }
  result<void> write(const std::string& path, std::string_view value) override {
    return edit(path, store_tree::write_edit{std::string(value)});
  }
  result<void> make_directory(const std::string& path) override { return edit(path, store_tree::directory_edit{}); }
  result<void> remove(const std::string& path) override { return edit(path, store_tree::remove_edit{}); }
  result<void> set_permissions(const std::string& path, std::span<const node_permission> who) override {
    return edit(path, store_tree::permissions_edit{{who.begin(), who.end()}});
  }

  [[nodiscard]] const store_tree::access_log& log() const { return log_; }

private:
  result<void> enter(const std::string& path) {
    log_.paths.push_back(path);
    std::lock_guard hold(daemon_->mutex_);
    return daemon_->admit(*whose_, path);
  }
  result<void> edit(const std::string& path, store_tree::edit what) {
    if (auto admitted = enter(path); !admitted)
      return admitted;
    if (auto checked = store_tree::check_path(path); !checked)
      return checked;
    // What comes or goes changes its parent.
    if (tree_.find(path) == nullptr || std::holds_alternative<store_tree::remove_edit>(what))
      log_.paths.push_back(path.substr(0, std::max<std::size_t>(path.rfind('/'), 1)));
    auto done = tree_.apply(domain_, path, what);
    if (done)
      log_.edits.emplace_back(path, std::move(what));
    return done;
  }

  xenstored* daemon_;
  domain_id domain_;
  const domain_store* whose_;
  store_tree tree_;
  store_tree::access_log log_;
};

xenstored::xenstored() = default;

platform::store& xenstored::for_domain(domain_id domain) {
  std::lock_guard hold(mutex_);
  auto& view = views_[domain];
  if (!view)
    view = std::make_unique<domain_store>(*this, domain);
  return *view;
}

void xenstored::set_listener(domain_id domain, listener told) {
  std::lock_guard hold(mutex_);
  listeners_[domain] = std::move(told);
}

result<void> xenstored::admit(const domain_store& whose, const std::string& what) {
  ++operations_;
  if (lost_)
    return pci::fail(EBADF, fmt::format("xenstore {}: connection lost", what));
  if (disconnected_.contains(&whose))
    return pci::fail(ENOTCONN, fmt::format("xenstore {}: the connection is lost", what));
  const auto found = failures_.find(whose.domain_);
  if (found == failures_.end())
    return {};
  auto& next = found->second;
  if (next.skip > 0) {
    --next.skip;
    return {};
  }
  const int error = next.error;
  if (--next.count == 0)
    failures_.erase(found);
  return pci::fail(error, fmt::format("xenstore {}", what));
}

void xenstored::fail_next(domain_id domain, int error, unsigned count, unsigned skip) {
  std::lock_guard hold(mutex_);
  failures_[domain] = {error, count, skip};
}

void xenstored::lose() {
  std::lock_guard hold(mutex_);
  lost_ = true;
}

void xenstored::disconnect(domain_id domain) {
  const auto& whose = dynamic_cast<const domain_store&>(for_domain(domain));
  std::lock_guard hold(mutex_);
  disconnected_.insert(&whose);
}

void xenstored::reconnect(domain_id domain) {
  std::lock_guard hold(mutex_);
  disconnected_.erase(views_.at(domain).get());
  for (const auto& watch : watches_)
    if (watch.domain == domain)
      tell(watch, watch.path);
}

unsigned xenstored::owned(domain_id domain) const {
  std::lock_guard hold(mutex_);
  return tree_.owned(domain);
}

std::uint64_t xenstored::operations() const {
  std::lock_guard hold(mutex_);
  return operations_;
}

std::string xenstored::print() const {
  std::lock_guard hold(mutex_);
  std::string out;
  tree_.print(out);
  return out;
}

result<void> xenstored::change(const domain_store& whose, const std::string& path, const store_tree::edit& edit) {
  std::lock_guard hold(mutex_);
  if (auto admitted = admit(whose, path); !admitted)
    return admitted;
  const auto before = tree_;
  auto done = tree_.apply(whose.domain_, path, edit);
  if (done)
    fire(before, path, std::holds_alternative<store_tree::remove_edit>(edit));
  return done;
}

/// A transaction holds when every node it looked at is still as it was; its changes are then made one by one, each with
/// its watch events.
result<void> xenstored::commit(const domain_store& whose, const store_tree& seen, const store_tree::access_log& log) {
  std::lock_guard hold(mutex_);
  if (auto admitted = admit(whose, "transaction end"); !admitted)
    return admitted;
  for (const auto& path : log.paths)
    if (store_tree::check_path(path) && tree_.generation(path) != seen.generation(path))
      return pci::fail(EAGAIN, fmt::format("xenstore {}: changed meanwhile", path));
  const auto before = tree_;
  for (const auto& [path, edit] : log.edits)
    if (auto done = tree_.apply(whose.domain_, path, edit); !done) {
      tree_ = before;
      return done;
    }
  for (const auto& [path, edit] : log.edits)
    fire(before, path, std::holds_alternative<store_tree::remove_edit>(edit));
  return {};
}

void xenstored::tell(const watch_entry& watch, const std::string& path) {
  const auto view = views_.find(watch.domain);
  if (view != views_.end() && disconnected_.contains(view->second.get()))
    return;
  const auto found = listeners_.find(watch.domain);
  if (found != listeners_.end() && found->second)
    found->second(path, watch.token);
}

/// A change is told to the watches at the node and above it; a removal to those below it too. A domain is not told of
/// what it may not read. Removing what is not there is success, and no change.
void xenstored::fire(const store_tree& before, const std::string& path, bool removed) {
  if (removed && before.find(path) == nullptr)
    return;
  for (const auto& watch : watches_) {
    if (is_below(path, watch.path)) {
      if (levels_below(path, watch.path) > watch.depth)
        continue;
      if (tree_.may_read(watch.domain, path) || before.may_read(watch.domain, path))
        tell(watch, path);
    } else if (removed && is_below(watch.path, path) && before.find(watch.path) != nullptr &&
               before.may_read(watch.domain, watch.path)) {
      tell(watch, watch.path);
    }
  }
}

void xenstored::fire_special(const std::string& name, std::optional<domain_id> domain) {
  std::lock_guard hold(mutex_);
  for (const auto& watch : watches_)
    if (watch.path == name)
      tell(watch, domain && watch.depth == 1 ? fmt::format("{}/{}", name, *domain) : name);
}

result<void> xenstored::add_watch(const domain_store& whose, const std::string& path, const std::string& token,
                                  unsigned depth) {
  std::lock_guard hold(mutex_);
  const auto domain = whose.domain_;
  if (auto admitted = admit(whose, path); !admitted)
    return admitted;
  const bool special = path == "@introduceDomain" || path == "@releaseDomain";
  if (special && domain != 0)
    return pci::fail(EACCES, fmt::format("xenstore watch {}", path));
  if (!special)
    if (auto checked = store_tree::check_path(path); !checked)
      return checked;
  const auto same = [&](const auto& w) { return w.domain == domain && w.path == path && w.token == token; };
  if (std::any_of(watches_.begin(), watches_.end(), same))
    return pci::fail(EEXIST, fmt::format("xenstore watch {} {}", path, token));
  const auto count = std::count_if(watches_.begin(), watches_.end(), [&](const auto& w) { return w.domain == domain; });
  if (domain != 0 && static_cast<std::size_t>(count) >= watches_per_domain)
    return pci::fail(E2BIG, fmt::format("xenstore watch {}: domain {} has its {}", path, domain, watches_per_domain));
  watches_.push_back({domain, path, token, depth_offered_ ? depth : platform::store::any_depth});
  tell(watches_.back(), path);
  return {};
}

void xenstored::release_domain(domain_id domain) {
  std::lock_guard hold(mutex_);
  std::erase_if(watches_, [&](const auto& watch) { return watch.domain == domain; });
  const auto before = tree_;
  for (const auto& path : tree_.remove_owned(domain))
    fire(before, path, true);
}

void xenstored::drop_watches(domain_id domain) {
  std::lock_guard hold(mutex_);
  std::erase_if(watches_, [&](const auto& watch) { return watch.domain == domain; });
}

result<std::string> domain_store::read(const std::string& path) {
  std::lock_guard hold(daemon_->mutex_);
  if (auto admitted = daemon_->admit(*this, path); !admitted)
    return tl::unexpected(admitted.error());
  return daemon_->tree_.read(domain_, path);
}

result<std::vector<std::string>> domain_store::list(const std::string& path) {
  std::lock_guard hold(daemon_->mutex_);
  if (auto admitted = daemon_->admit(*this, path); !admitted)
    return tl::unexpected(admitted.error());
  return daemon_->tree_.list(domain_, path);
}

result<void> domain_store::write(const std::string& path, std::string_view value) {
  return daemon_->change(*this, path, store_tree::write_edit{std::string(value)});
}

result<void> domain_store::make_directory(const std::string& path) {
  return daemon_->change(*this, path, store_tree::directory_edit{});
}

result<void> domain_store::remove(const std::string& path) {
  return daemon_->change(*this, path, store_tree::remove_edit{});
}

result<void> domain_store::set_permissions(const std::string& path, std::span<const node_permission> who) {
  return daemon_->change(*this, path, store_tree::permissions_edit{{who.begin(), who.end()}});
}

result<void> domain_store::transact(const std::function<result<void>(store_operations&)>& body, unsigned attempts) {
  for (unsigned i = 0; i < attempts; ++i) {
    store_tree seen;
    {
      std::lock_guard hold(daemon_->mutex_);
      if (auto admitted = daemon_->admit(*this, "transaction start"); !admitted)
        return admitted;
      seen = daemon_->tree_;
    }
    transaction_view view(*daemon_, domain_, *this, seen);
    if (auto done = body(view); !done)
      return done;
    auto ended = daemon_->commit(*this, seen, view.log());
    if (ended || ended.error().error != EAGAIN)
      return ended;
  }
  return pci::fail(EAGAIN, fmt::format("xenstore transaction: {} attempts", attempts));
}

result<void> domain_store::watch(const std::string& path, const std::string& token, unsigned depth) {
  return daemon_->add_watch(*this, path, token, depth);
}

result<void> domain_store::unwatch(const std::string& path, const std::string& token) {
  std::lock_guard hold(daemon_->mutex_);
  if (auto admitted = daemon_->admit(*this, path); !admitted)
    return admitted;
  const auto gone = std::erase_if(daemon_->watches_, [&](const auto& watch) {
    return watch.domain == domain_ && watch.path == path && watch.token == token;
  });
  if (gone == 0)
    return pci::fail(ENOENT, fmt::format("xenstore unwatch {} {}", path, token));
  return {};
}

} // namespace platform::sim
