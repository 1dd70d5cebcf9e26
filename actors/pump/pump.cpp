// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/pump/pump.hpp"

#include <charconv>

#include <caf/send.hpp>
#include <spdlog/spdlog.h>

#include "pci/protocol/xenstore_paths.hpp"

namespace actors {
namespace {

std::optional<messages::domain_id> parse_domain(std::string_view digits) {
  messages::domain_id domain = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), domain);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  return domain;
}

} // namespace

pci::result<void> pump::watch(platform::store& store) {
  return store.watch(pci::paths::backends, backend_token)
      .and_then([&] { return store.watch(pci::paths::domain_released, release_token, 1); })
      .and_then([&] { return store.watch(pci::paths::domain_introduced, introduce_token); });
}

void pump::set_root(messages::root_actor root) {
  const std::lock_guard lock(mutex_);
  root_ = std::move(root);
}

void pump::route_domain(messages::domain_id domain, messages::domain_actor to) {
  const std::lock_guard lock(mutex_);
  domains_.insert_or_assign(domain, route{std::move(to), false});
}

void pump::unroute_domain(messages::domain_id domain) {
  const std::lock_guard lock(mutex_);
  const auto found = domains_.find(domain);
  if (found == domains_.end()) {
    return;
  }
  const auto pending = found->second.pending;
  domains_.erase(found);
  if (pending) {
    domain_changed(domain);
  }
}

void pump::take_changes(messages::domain_id domain) {
  const std::lock_guard lock(mutex_);
  if (const auto found = domains_.find(domain); found != domains_.end()) {
    found->second.pending = false;
  }
}

std::uint64_t pump::tell_changes(messages::domain_id domain, std::function<void()> told) {
  const std::lock_guard lock(mutex_);
  listeners_.emplace(++last_listener_, listener{domain, std::move(told)});
  return last_listener_;
}

void pump::forget(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  listeners_.erase(number);
}

void pump::take_root_changes(messages::domain_id domain) {
  const std::lock_guard lock(mutex_);
  root_pending_.erase(domain);
}

std::optional<std::set<messages::domain_id>> pump::take_releases() {
  const std::lock_guard lock(mutex_);
  release_pending_ = false;
  auto named = std::exchange(released_, {});
  return std::exchange(any_released_, false) ? std::nullopt : std::optional(std::move(named));
}

void pump::take_introductions() {
  const std::lock_guard lock(mutex_);
  introduction_pending_ = false;
}

// With the lock held.
void pump::domain_changed(messages::domain_id domain) {
  if (const auto found = domains_.find(domain); found != domains_.end()) {
    if (!std::exchange(found->second.pending, true)) {
      caf::anon_send(found->second.to, messages::changed_atom_v);
    }
  } else if (root_ && root_pending_.try_emplace(domain, true).second) {
    caf::anon_send(root_, messages::changed_atom_v, domain);
  }
}

void pump::store_changed(const std::string& path, const std::string& token) {
  const std::lock_guard lock(mutex_);
  if (token == release_token) {
    const auto slash = path.find('/');
    const auto domain =
        slash == std::string::npos ? std::nullopt : parse_domain(std::string_view(path).substr(slash + 1));
    if (domain) {
      released_.insert(*domain);
    } else {
      any_released_ = true;
    }
    if (root_ && !std::exchange(release_pending_, true)) {
      caf::anon_send(root_, messages::ended_atom_v);
    }
    return;
  }
  if (token == introduce_token) {
    if (root_ && !std::exchange(introduction_pending_, true)) {
      caf::anon_send(root_, messages::introduced_atom_v);
    }
    return;
  }
  const auto prefix = std::string_view(frontend_token);
  const auto domain = token == backend_token      ? domain_of(path)
                      : token.starts_with(prefix) ? parse_domain(std::string_view(token).substr(prefix.size()))
                                                  : std::nullopt;
  if (!domain) {
    return;
  }
  domain_changed(*domain);
  for (const auto& [number, each] : listeners_) {
    if (each.domain == *domain) {
      each.told();
    }
  }
}

void pump::route_line(const pci::sbdf& address, messages::device_actor to, std::shared_ptr<line_service> service) {
  const std::lock_guard lock(mutex_);
  lines_.insert_or_assign(address, line_route{std::move(to), std::move(service)});
}

void pump::unroute_line(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  lines_.erase(address);
}

std::optional<pump::line_route> pump::find_line(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  const auto found = lines_.find(address);
  return found == lines_.end() ? std::nullopt : std::optional{found->second};
}

void pump::line_interrupts(std::span<const pci::sbdf> addresses) {
  for (const auto& address : addresses) {
    // Not under the lock: the service goes to the hardware.
    const auto route = find_line(address);
    try {
      if (route && route->service->interrupt()) {
        caf::anon_send(route->to, messages::line_atom_v);
      }
    } catch (const std::exception& what) {
      spdlog::critical("acknowledging an interrupt of {} failed: {}; this is a bug", pci::to_string(address),
                       what.what());
      caf::anon_send_exit(route->to, caf::exit_reason::kill);
    }
  }
}

void pump::function_removed(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  if (root_) {
    caf::anon_send(root_, messages::removed_atom_v, address);
  }
}

void pump::function_added(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  if (root_) {
    caf::anon_send(root_, messages::added_atom_v, address);
  }
}

void pump::driver_unbound(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  if (root_) {
    caf::anon_send(root_, messages::unbound_atom_v, address);
  }
}

void pump::removal_waits(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  if (root_) {
    caf::anon_send(root_, messages::waits_atom_v, address);
  }
}

// With the lock held. A guest can make its function report errors as fast as the hardware can.
pci::error_tally& pump::tally(const pci::sbdf& address) {
  if (root_ && errors_.empty()) {
    caf::anon_send(root_, messages::error_atom_v);
  }
  auto& found = errors_[address];
  found.address = address;
  return found;
}

void pump::function_error(const pci::sbdf& address, pci::error_severity severity, std::string_view status) {
  const std::lock_guard lock(mutex_);
  tally(address).add(severity, status);
}

void pump::recovery_ended(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  tally(address).host_ended = true;
}

std::vector<pci::error_tally> pump::take_errors() {
  const std::lock_guard lock(mutex_);
  std::vector<pci::error_tally> all;
  for (auto& [address, tally] : errors_) {
    all.push_back(std::move(tally));
  }
  errors_.clear();
  return all;
}

void pump::resumed() {
  const std::lock_guard lock(mutex_);
  if (root_) {
    caf::anon_send(root_, messages::resumed_atom_v);
  }
}

void pump::lost(std::string_view what, const std::string& reason) {
  spdlog::critical("the connection to {} is lost ({}): guests are served on, but none comes or goes until it is back",
                   what, reason);
}

// Of some paths no change was told: whose, nobody knows.
void pump::regained(std::string_view what) {
  spdlog::warn("the connection to {} is back: all is read again", what);
  const std::lock_guard lock(mutex_);
  for (const auto& [domain, route] : domains_) {
    domain_changed(domain);
  }
  for (const auto& [number, each] : listeners_) {
    each.told();
  }
  if (root_) {
    caf::anon_send(root_, messages::reread_atom_v);
  }
}

std::optional<messages::domain_id> pump::domain_of(std::string_view path) {
  const auto root = std::string_view(pci::paths::backends);
  if (!path.starts_with(root) || path.size() <= root.size() + 1 || path[root.size()] != '/') {
    return std::nullopt;
  }
  const auto rest = path.substr(root.size() + 1);
  return parse_domain(rest.substr(0, rest.find('/')));
}

} // namespace actors
