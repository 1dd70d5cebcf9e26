#include "platform/sim/event_channels.hpp"

#include <cerrno>

#include <fmt/format.h>

namespace platform::sim {

auto event_channels::find(domain_id domain, std::uint32_t remote) -> guest_port* {
  const auto guest = guests_.find(domain);
  if (guest == guests_.end())
    return nullptr;
  const auto found = guest->second.ports.find(remote);
  return found == guest->second.ports.end() ? nullptr : &found->second;
}

bool event_channels::local_port::raise() {
  auto seen = port_state::open;
  while (!state.compare_exchange_weak(seen,
                                      seen == port_state::open ? port_state::masked : port_state::masked_and_pending)) {
  }
  return seen == port_state::open;
}

bool event_channels::local_port::unmask() {
  auto seen = port_state::masked;
  while (!state.compare_exchange_weak(seen,
                                      seen == port_state::masked_and_pending ? port_state::masked : port_state::open)) {
  }
  return seen == port_state::masked_and_pending;
}

/// Not under the lock: the sink may take its time, and others' events must not wait for it.
void event_channels::fire(port local) {
  if (sink_->send([&](event_sink& sink) { sink.port_fired(local); }))
    return;
  {
    std::lock_guard hold(mutex_);
    if (const auto found = locals_.find(local); found != locals_.end())
      found->second.untold = true;
  }
  if (sink_->send([](event_sink&) {})) // it came meanwhile, and its flush was before
    flush();
}

pci::result<port> event_channels::bind_interdomain(domain_id domain, std::uint32_t remote) {
  port local = 0;
  {
    std::lock_guard hold(mutex_);
    if (!guests_.contains(domain))
      return pci::fail(ESRCH, fmt::format("bind port {} of domain {}", remote, domain));
    auto* peer = find(domain, remote);
    if (peer == nullptr || peer->local != 0 || peer->remote_domain != 0)
      return pci::fail(EINVAL, fmt::format("bind port {} of domain {}", remote, domain));
    local = next_local_++;
    peer->local = local;
    locals_.try_emplace(local, domain, remote);
  }
  fire(local);
  return local;
}

void event_channels::unbind(port local) {
  std::lock_guard hold(mutex_);
  const auto found = locals_.find(local);
  if (found == locals_.end())
    return;
  if (auto* peer = find(found->second.domain, found->second.remote); peer != nullptr && peer->local == local)
    peer->local = 0;
  locals_.erase(found);
}

pci::result<void> event_channels::notify(port local) {
  std::shared_ptr<doorbell> bell;
  {
    std::shared_lock hold(mutex_);
    const auto found = locals_.find(local);
    if (found == locals_.end())
      return pci::fail(EINVAL, fmt::format("notify port {}", local));
    ++notifies_;
    auto* peer = find(found->second.domain, found->second.remote);
    if (peer == nullptr)
      return {}; // closed: success, silently
    *peer->pending = true;
    bell = guests_.find(found->second.domain)->second.bell;
  }
  if (bell)
    bell->ring();
  return {};
}

void event_channels::unmask(port local) {
  {
    std::shared_lock hold(mutex_);
    const auto found = locals_.find(local);
    if (found == locals_.end() || !found->second.unmask())
      return;
  }
  fire(local);
}

void event_channels::add_domain(domain_id domain, std::shared_ptr<doorbell> bell) {
  std::lock_guard hold(mutex_);
  guests_[domain].bell = std::move(bell);
}

pci::result<std::uint32_t> event_channels::allocate_unbound(domain_id domain, domain_id remote) {
  std::lock_guard hold(mutex_);
  const auto guest = guests_.find(domain);
  if (guest == guests_.end())
    return pci::fail(ESRCH, fmt::format("allocate a port of domain {}", domain));
  auto& ports = guest->second.ports;
  if (ports.size() >= ports_per_domain)
    return pci::fail(ENOSPC, fmt::format("allocate a port of domain {}", domain));
  const auto number = guest->second.next++;
  ports[number] = {remote, 0, std::make_shared<std::atomic<bool>>(false)};
  return number;
}

pci::result<void> event_channels::send(domain_id domain, std::uint32_t remote) {
  port local = 0;
  {
    std::shared_lock hold(mutex_);
    auto* from = find(domain, remote);
    if (from == nullptr)
      return pci::fail(EINVAL, fmt::format("domain {} sends on port {}", domain, remote));
    const auto found = locals_.find(from->local);
    if (found == locals_.end() || !found->second.raise())
      return {};
    local = found->first;
  }
  fire(local);
  return {};
}

void event_channels::close(domain_id domain, std::uint32_t remote) {
  std::lock_guard hold(mutex_);
  auto* gone = find(domain, remote);
  if (gone == nullptr)
    return;
  if (const auto local = locals_.find(gone->local); local != locals_.end())
    local->second.remote = 0;
  guests_[domain].ports.erase(remote);
}

std::shared_ptr<std::atomic<bool>> event_channels::pending(domain_id domain, std::uint32_t remote) const {
  std::shared_lock hold(mutex_);
  const auto guest = guests_.find(domain);
  if (guest == guests_.end())
    return nullptr;
  const auto found = guest->second.ports.find(remote);
  return found == guest->second.ports.end() ? nullptr : found->second.pending;
}

void event_channels::remove_domain(domain_id domain) {
  std::lock_guard hold(mutex_);
  for (auto& [number, local] : locals_)
    if (local.domain == domain)
      local.remote = 0;
  guests_.erase(domain);
}

void event_channels::close_all_local() {
  std::lock_guard hold(mutex_);
  locals_.clear();
  for (auto& [domain, guest] : guests_)
    for (auto& [number, at] : guest.ports)
      at.local = 0;
}

void event_channels::flush() {
  std::vector<port> untold;
  {
    std::lock_guard hold(mutex_);
    for (auto& [number, local] : locals_)
      if (std::exchange(local.untold, false))
        untold.push_back(number);
  }
  for (const auto local : untold)
    fire(local);
}

std::size_t event_channels::bound() const {
  std::lock_guard hold(mutex_);
  return locals_.size();
}

} // namespace platform::sim
