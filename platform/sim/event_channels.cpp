// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/event_channels.hpp"

#include <cerrno>
#include <mutex>

#include <fmt/format.h>

namespace platform::sim {

// -- dom0's end

void event_channels::local_port::raise() {
  auto seen = now.load();
  while (!now.compare_exchange_weak(seen, seen == state::open     ? state::fired
                                          : seen == state::masked ? state::masked_and_pending
                                                                  : seen)) {
  }
  if (seen == state::open)
    bell.ring();
}

void event_channels::local_port::unmask() {
  auto seen = now.load();
  while (!now.compare_exchange_weak(seen, seen == state::masked_and_pending ? state::fired
                                          : seen == state::masked           ? state::open
                                                                            : seen)) {
  }
  if (seen == state::masked_and_pending)
    bell.ring();
}

bool event_channels::local_port::take() {
  auto seen = state::fired;
  return now.compare_exchange_strong(seen, state::masked);
}

class event_channels::channel final : public event_channel {
public:
  channel(event_channels& all, std::shared_ptr<local_port> local) : all_(&all), local_(std::move(local)) {}
  ~channel() override { all_->unbind(local_); }

  pci::result<bool> wait() override {
    bool fired = false;
    const auto ended = [&] { return local_->woken.exchange(false) || (fired = local_->take()); };
    constexpr auto ever = std::chrono::hours(24 * 365);
    if (!all_->blocking_ ? ended() : local_->bell.wait_until(ended, ever))
      return fired;
    return false;
  }
  void wake() override {
    local_->woken = true;
    local_->bell.ring();
  }
  void unmask() override { local_->unmask(); }
  pci::result<void> notify() override { return all_->notify(*local_); }
  void unbind() override {
    all_->unbind(local_);
    wake();
  }

private:
  event_channels* all_;
  std::shared_ptr<local_port> local_;
};

auto event_channels::find(domain_id domain, std::uint32_t remote) const -> const guest_port* {
  const auto guest = guests_.find(domain);
  if (guest == guests_.end())
    return nullptr;
  const auto found = guest->second.ports.find(remote);
  return found == guest->second.ports.end() ? nullptr : &found->second;
}

pci::result<std::unique_ptr<event_channel>> event_channels::bind_interdomain(domain_id domain, std::uint32_t remote) {
  std::lock_guard hold(mutex_);
  const auto from = guests_.find(domain);
  if (from == guests_.end())
    return pci::fail(ESRCH, fmt::format("bind port {} of domain {}", remote, domain));
  const auto peer = from->second.ports.find(remote);
  if (peer == from->second.ports.end() || peer->second.local != nullptr || peer->second.remote_domain != 0)
    return pci::fail(EINVAL, fmt::format("bind port {} of domain {}", remote, domain));
  auto local = std::make_shared<local_port>(domain, remote);
  peer->second.local = local;
  locals_.insert(local);
  return std::make_unique<channel>(*this, std::move(local));
}

void event_channels::unbind(const std::shared_ptr<local_port>& local) {
  std::lock_guard hold(mutex_);
  if (!local->bound.exchange(false))
    return;
  locals_.erase(local);
  if (const auto from = guests_.find(local->domain); from != guests_.end())
    if (const auto peer = from->second.ports.find(local->remote);
        peer != from->second.ports.end() && peer->second.local == local)
      peer->second.local.reset();
}

pci::result<void> event_channels::notify(const local_port& local) {
  std::shared_ptr<doorbell> bell;
  {
    std::shared_lock hold(mutex_);
    if (!local.bound)
      return pci::fail(EINVAL, fmt::format("notify port {} of domain {}", local.remote, local.domain));
    const auto* peer = find(local.domain, local.remote);
    if (peer == nullptr || peer->local.get() != &local)
      return {}; // closed: success, silently
    *peer->pending = true;
    ++notified_;
    bell = guests_.find(local.domain)->second.bell;
  }
  if (bell)
    bell->ring();
  return {};
}

void event_channels::close_all_local() {
  std::lock_guard hold(mutex_);
  for (const auto& local : std::exchange(locals_, {}))
    local->bound = false;
  for (auto& [domain, guest] : guests_)
    for (auto& [number, at] : guest.ports)
      at.local.reset();
}

std::size_t event_channels::bound() const {
  std::shared_lock hold(mutex_);
  return locals_.size();
}

// -- the guests' end

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
  ports[number] = {remote, nullptr, std::make_shared<std::atomic<bool>>(false)};
  return number;
}

pci::result<void> event_channels::send(domain_id domain, std::uint32_t remote) {
  std::shared_lock hold(mutex_);
  const auto* from = find(domain, remote);
  if (from == nullptr)
    return pci::fail(EINVAL, fmt::format("domain {} sends on port {}", domain, remote));
  if (from->local)
    from->local->raise();
  return {};
}

void event_channels::close(domain_id domain, std::uint32_t remote) {
  std::lock_guard hold(mutex_);
  if (const auto guest = guests_.find(domain); guest != guests_.end())
    guest->second.ports.erase(remote);
}

std::shared_ptr<std::atomic<bool>> event_channels::pending(domain_id domain, std::uint32_t remote) const {
  std::shared_lock hold(mutex_);
  const auto* found = find(domain, remote);
  return found == nullptr ? nullptr : found->pending;
}

void event_channels::remove_domain(domain_id domain) {
  std::lock_guard hold(mutex_);
  guests_.erase(domain);
}

} // namespace platform::sim
